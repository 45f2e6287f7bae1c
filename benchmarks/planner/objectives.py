"""Trace trl's trainers of other objectives, and hold the closed form against them.

    python benchmarks/planner/objectives.py [--only WORD ...] [--report]

Traces every case on fake tensors (about 15 s each) and writes tests/planner/traced_objectives.json, which the planner's
tests read without torch.  What is traced is one optimizer step of trl's own trainer; generation, which trl leads before
it, is not.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fixtures
from matrix import ARCHITECTURES, BASE, BOX

from ftui.models.shape import Origin, build
from ftui.planner.setup import Setup, setup_of
from ftui.recipe import assign
from ftui.recipe.document import Recipe

RESULTS = Path(__file__).resolve().parents[2] / "tests" / "planner" / "traced_objectives.json"
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes")
PROMPT = 256

FULL = {"adapter": {"kind": "none"}}
NF4 = {"model.quantization": "nf4"}
KEEP = {"train.checkpointing": False}
# Objective, architecture, layers, rows, tokens of a row, and what else the recipe asks.
CASES: tuple[tuple[str, str, int, int, int, dict[str, Any]], ...] = (
    ("dpo", "llama3-8b", 3, 1, 1024, {}),
    ("dpo", "llama3-8b", 2, 1, 1024, KEEP),
    ("dpo", "llama3-8b", 2, 1, 1024, FULL),
    ("dpo", "qwen3-8b", 3, 2, 1024, {**NF4}),
    ("dpo", "qwen2-0.5b", 4, 2, 1024, {**FULL, **KEEP}),
    ("dpo", "mistral-7b", 2, 2, 1024, {**KEEP, "objective.precompute_reference": True}),
    ("dpo", "gemma3-1b", 6, 1, 1024, {}),
    ("dpo", "qwen2-0.5b", 4, 1, 1024, {"train.effective_batch": 2}),
    ("kto", "llama3-8b", 3, 2, 1024, {}),
    ("kto", "mistral-7b", 2, 4, 1024, KEEP),
    ("kto", "qwen2-0.5b", 4, 2, 2048, FULL),
    ("reward", "llama3-8b", 3, 1, 2048, {}),
    ("reward", "qwen2-0.5b", 4, 2, 1024, FULL),
    ("reward", "llama3-8b", 2, 1, 1024, {**FULL, **KEEP}),
    ("orpo", "llama3-8b", 3, 1, 1024, {}),
    ("orpo", "qwen2-0.5b", 4, 2, 1024, FULL),
    ("orpo", "mistral-7b", 2, 2, 1024, KEEP),
    ("cpo", "llama3-8b", 2, 1, 1024, {}),
    ("cpo", "mistral-7b", 2, 2, 1024, KEEP),
    ("cpo", "qwen2-0.5b", 4, 2, 1024, {"objective.cpo_alpha": 0.0, "objective.loss_type": "simpo"}),
    ("cpo", "qwen2-0.5b", 4, 1, 1024, {**FULL, "objective.cpo_alpha": 0.0}),
    ("grpo", "llama3-8b", 3, 4, 768, {}),
    ("grpo", "qwen2-0.5b", 4, 8, 768, FULL),
    ("grpo", "mistral-7b", 2, 4, 768, KEEP),
    ("rloo", "qwen3-8b", 3, 2, 768, {**NF4}),
    ("distill", "llama3-8b", 3, 2, 768, {}),
    ("distill", "qwen2-0.5b", 4, 4, 768, FULL),
    ("distill", "mistral-7b", 2, 2, 768, KEEP),
)


class Case:
    """A recipe and a config, from which both sides are made."""

    def __init__(self, kind: str, architecture: str, layers: int, rows: int, length: int, asked: dict[str, Any]):
        self.kind, self.rows, self.length = kind, rows, length
        self.config = {**ARCHITECTURES[architecture], "num_hidden_layers": layers}
        self.generates = kind in ("grpo", "rloo", "distill")
        wanted = {
            **BASE, "train.micro_batch": rows, "train.effective_batch": rows, "objective.kind": kind,
            "data.max_length": PROMPT if self.generates else length, **asked,
        }
        if self.generates:
            wanted["objective.max_completion_length"] = length - PROMPT
        if "adapter" in wanted:
            wanted = {path: value for path, value in wanted.items() if not path.startswith("adapter.")}
        self.asked = wanted
        self.recipe = assign(Recipe(), wanted)
        self.name = " ".join([kind, architecture, f"{layers}x", f"{rows}x{length}", *map(str, asked.values())])

    @property
    def setup(self) -> Setup:
        return setup_of(self.recipe, BOX, build(self.config, Origin("bench", "config")), None)

    @property
    def micro_batches(self) -> int:
        return int(self.recipe.train.effective_batch) // self.rows


def traced(case: Case) -> dict[str, Any]:
    """Allocated peak in bytes of one step of trl's trainer, the fullest moment of each phase, and what stays."""
    # The world leads as on CUDA what of trl is loaded by then.
    from trl.experimental import cpo, orpo  # noqa: F401
    from trl.trainer import distillation_trainer  # noqa: F401

    from ftui.worker.trace.fake import World
    from ftui.worker.trace.log import peaks
    from ftui.worker.trace.step import trace_trainer

    share = {"grpo": (case.length - PROMPT) / (case.length - 1), "rloo": (case.length - PROMPT) / (case.length - 1)}
    here = World(padded=True, trained_share=share.get(case.kind, 1.0))
    with tempfile.TemporaryDirectory() as folder:
        log = trace_trainer(
            lambda: _trainer(case, here, Path(folder)), lambda trainer: [_batch(case)] * case.micro_batches, here,
            adapter=case.recipe.adapter.kind != "none", layers=case.config["num_hidden_layers"],
        )
    found = peaks(log)
    return {
        "allocated": found.whole.total, "static": found.static, "phase": found.whole.event.phase,
        "where": found.whole.event.where, "phases": {name: moment.total for name, moment in found.phases.items()},
    }


def _trainer(case: Case, here: Any, folder: Path) -> Any:
    import trl
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import AutoModelForSequenceClassification
    from transformers.initialization import no_init_weights
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    from ftui.worker.base import quantization_config
    from ftui.worker.trace.building import config_of, load
    from ftui.worker.trace.step import precision_of
    from ftui.worker.trace.trainers import tokenizer

    disable_progress_bars()
    recipe, config = case.recipe, config_of(case.config)
    config.pad_token_id = 0
    precision = precision_of(recipe, here)
    full = recipe.adapter.kind == "none"
    quantization = None if full else quantization_config(recipe, precision)

    def model() -> Any:
        if case.kind != "reward":
            return load(config, dtype=precision.weights, attention="sdpa", quantization=quantization)
        config.num_labels = 1
        with no_init_weights():
            return AutoModelForSequenceClassification.from_config(config, dtype=_dtype(precision.weights))

    task = "SEQ_CLS" if case.kind == "reward" else "CAUSAL_LM"
    common = {
        "output_dir": str(folder), "per_device_train_batch_size": case.rows, "bf16": True, "use_cpu": True,
        "gradient_accumulation_steps": case.micro_batches, "gradient_checkpointing": bool(recipe.train.checkpointing),
        "optim": "adamw_torch_fused", "report_to": [], "save_strategy": "no", "disable_tqdm": True, "max_steps": 2,
    }
    given: dict[str, Any] = {
        "processing_class": tokenizer(), "model": model(),
        "peft_config": None if full else LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type=task),
    }
    pair = {"prompt": ["a"] * 2, "chosen": ["a b"] * 2, "rejected": ["a c"] * 2}
    match case.kind:
        case "dpo" | "kto":
            single = {"prompt": ["a"] * 2, "completion": ["b"] * 2, "label": [True, False]}
            data = pair if case.kind == "dpo" else single
            arguments, trainer = {"dpo": (trl.DPOConfig, trl.DPOTrainer), "kto": (trl.KTOConfig, trl.KTOTrainer)}[
                case.kind
            ]
            made = trainer(args=arguments(**common), train_dataset=Dataset.from_dict(data),
                           ref_model=model() if full else None, **given)
            # Read from the rows instead of computed: there is nothing to compute them with here.
            made.precompute_ref_logps = recipe.objective.precompute_reference
        case "reward":
            made = trl.RewardTrainer(args=trl.RewardConfig(**common), train_dataset=Dataset.from_dict(pair), **given)
        case "orpo":
            made = ORPOTrainer(args=ORPOConfig(**common), train_dataset=Dataset.from_dict(pair), **given)
        case "cpo":
            options: Any = recipe.objective
            made = CPOTrainer(args=CPOConfig(cpo_alpha=options.cpo_alpha, loss_type=options.loss_type, **common),
                              train_dataset=Dataset.from_dict(pair), **given)
        case "grpo" | "rloo":
            arguments, trainer = {"grpo": (trl.GRPOConfig, trl.GRPOTrainer), "rloo": (trl.RLOOConfig, trl.RLOOTrainer)}[
                case.kind
            ]
            made = trainer(
                args=arguments(num_generations=2, max_completion_length=case.length - PROMPT, beta=0.0, **common),
                train_dataset=Dataset.from_dict({"prompt": ["a"] * 2}),
                reward_funcs=lambda completions, **_: [0.0] * len(completions), **given,
            )
        case _:
            made = trl.DistillationTrainer(
                args=trl.DistillationConfig(max_completion_length=case.length - PROMPT, **common),
                train_dataset=Dataset.from_dict({"prompt": ["a"] * 2}), teacher_model=model(), **given,
            )
    if case.generates:
        # The batches are handed over as if the completions had been written.
        made._prepare_inputs = lambda batch: batch
    return made


def _dtype(name: str) -> Any:
    import torch

    return getattr(torch, name)


def _batch(case: Case) -> dict[str, Any]:
    """What the trainer's collator, or its generation, would hand to the step; every completion's token is scored."""
    import torch

    def ids(rows: int, length: int = case.length) -> Any:
        return torch.empty(rows, length, dtype=torch.long)

    rows, answer = case.rows, case.length - PROMPT
    match case.kind:
        case "dpo":
            reference = {"ref_chosen_logps": torch.empty(rows), "ref_rejected_logps": torch.empty(rows)}
            batch = {name: ids(2 * rows) for name in ("input_ids", "attention_mask", "completion_mask")}
            return batch | (reference if case.recipe.objective.precompute_reference else {})
        case "kto":
            names = ("input_ids", "attention_mask", "completion_mask")
            batch = {name: ids(rows) for name in (*names, *(f"KL_{name}" for name in names))}
            return batch | {"label": torch.empty(rows, dtype=torch.bool)}
        case "reward":
            return {name: ids(2 * rows) for name in ("input_ids", "attention_mask")}
        case "orpo" | "cpo":
            names = ("input_ids", "attention_mask", "labels")
            return {f"{part}_{name}": ids(rows) for part in ("chosen", "rejected") for name in names}
        case _:
            batch = {f"{part}_{name}": ids(rows, length) for name in ("ids", "mask")
                     for part, length in (("prompt", PROMPT), ("completion", answer))}
            return batch | {
                "advantages": torch.empty(rows), "old_logps": torch.empty(rows),
                "num_items_in_batch": torch.tensor(float(rows * answer)),
            }


if __name__ == "__main__":
    fixtures.main(__doc__ or "", [Case(*each) for each in CASES], traced, RESULTS, LIBRARIES)
