"""One configuration on this machine's card, in a process of its own:  python measure_one.py < JOB.json

The job is {"case": name, "dry": bool, "steps": int}; the last line on stdout is what was measured, as JSON.  The model
is built from its config with random weights by transformers' own loading, from a state dict that holds one row of each
matrix, so that neither disk nor host memory is needed for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gpu_matrix import cases
from matrix import Case

from ftui.recipe.document import Recipe
from ftui.worker.base import set_allocator


def main() -> None:
    job = json.loads(sys.stdin.read())
    case = next(case for case in cases(dry=job["dry"]) if case.name == job["case"])
    set_allocator(case.recipe)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        found = measure(case, job["steps"])
    print(json.dumps(found))


def measure(case: Case, steps: int) -> dict[str, Any]:
    """Peaks in bytes and speed of `steps` training steps; {"out_of_memory": ...} where the card has too little."""
    import torch

    device = "cuda" if torch.cuda.is_available() and case.recipe.compute.gpus != 0 else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    before = used_bytes(device)
    try:
        found = train(case, device, steps)
    except torch.OutOfMemoryError as error:
        return {"out_of_memory": str(error).splitlines()[0][:300]} | peaks(device, before)
    return found | peaks(device, before)


def train(case: Case, device: str, steps: int) -> dict[str, Any]:
    """Build model and trainer and run the steps; tokens per second are those of all steps but the first."""
    import torch

    from ftui.worker.adapters import BUILDERS as ADAPTERS
    from ftui.worker.precision import choose

    recipe = case.recipe
    precision = choose(recipe, cuda=device == "cuda", bf16=device == "cuda" and torch.cuda.is_bf16_supported())
    base = load(case, recipe, precision, device)
    loaded = torch.cuda.memory_allocated() if device == "cuda" else 0
    model = ADAPTERS[recipe.adapter.kind](base, recipe)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(case, model, precision, device, Path(folder), steps)
        clock = Clock(device)
        trainer.add_callback(clock.callback())
        trainer.train()
    tokens = case.rows * case.length * trainer.args.gradient_accumulation_steps
    if recipe.objective.kind != "sft":
        tokens *= 2
    return {
        "loaded": loaded, "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "step_seconds": clock.seconds(), "tokens_per_second": tokens / clock.seconds(), "precision": precision.compute,
    }


def load(case: Case, recipe: Recipe, precision: Any, device: str) -> Any:
    """The base model as the worker loads it, but for the values of its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from ftui.worker.base import quantization_config, upcast

    fields = dict(case.config)
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    dtype = getattr(torch, precision.weights)
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config, dtype=dtype)
    skeleton.tie_weights()
    weights = {name: row_of(tensor, copy=device == "cpu") for name, tensor in skeleton.named_parameters()}
    quantization = quantization_config(recipe, precision) if recipe.adapter.kind != "none" else None
    model = type(skeleton).from_pretrained(
        None, config=config, state_dict=weights, dtype=dtype, device_map={"": device},
        attn_implementation=recipe.model.attention, **({"quantization_config": quantization} if quantization else {}),
    )
    model.config.use_cache = False
    if quantization:
        upcast(model, recipe.model.upcast)
    return model


def row_of(tensor: Any, *, copy: bool) -> Any:
    """A tensor like `tensor`, of which only the last dimension takes memory, unless it has to be copied by itself."""
    import torch

    row = torch.randn(tensor.shape[-1:]) * 0.02 if tensor.dim() > 1 else torch.ones(tensor.shape)
    whole = row.to(tensor.dtype).expand(tensor.shape)
    return whole.clone() if copy else whole


def trainer_of(case: Case, model: Any, precision: Any, device: str, folder: Path, steps: int) -> Any:
    """The trainer that the recipe means: ftui's, trl's for supervised or preference tuning, or transformers'."""
    from ftui.worker.objectives.sft import build

    recipe, words = case.recipe, tokenizer()
    if recipe.objective.kind == "dpo":
        return dpo(case, model, precision, device, folder, steps, words)
    if recipe.train.trainer == "ftui":
        rows: Any = SimpleNamespace(
            train=Rows(case, steps), validation=[], packed=bool(recipe.data.packing), pictured=False,
        )
        trainer = build(model, recipe, rows, words, precision, device, folder)
        trainer.args.max_steps = steps
        return trainer
    if recipe.train.trainer == "trl":
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        dataset = Dataset.from_list([{"input_ids": row["input_ids"]} for row in Rows(case, steps)])
        return SFTTrainer(model=model, args=arguments(SFTConfig, case, precision, device, folder, steps,
                                                      max_length=case.length),
                          train_dataset=dataset, processing_class=words)
    from transformers import Trainer, TrainingArguments

    rows = Rows(case, steps)
    return Trainer(model=model, args=arguments(TrainingArguments, case, precision, device, folder, steps),
                   train_dataset=rows, data_collator=stacked, processing_class=words)


def dpo(case: Case, model: Any, precision: Any, device: str, folder: Path, steps: int, words: Any) -> Any:
    """trl's DPOTrainer on pairs that are as long as the case says; full tuning gets a second model as its reference."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    prompt, answer = case.length // 2, case.length - case.length // 2 - 1
    pair = {"prompt": " ".join(["w1"] * prompt), "chosen": " " + " ".join(["w2"] * answer),
            "rejected": " " + " ".join(["w3"] * answer)}
    reference = None if hasattr(model, "peft_config") else load(case, case.recipe, precision, device)
    return DPOTrainer(
        model=model, ref_model=reference, train_dataset=Dataset.from_list([pair] * (case.rows * steps)),
        args=arguments(DPOConfig, case, precision, device, folder, steps, max_length=case.length),
        processing_class=words,
    )


def arguments(kind: Any, case: Case, precision: Any, device: str, folder: Path, steps: int, **more: Any) -> Any:
    """The worker's arguments, as an object of another library's class."""
    from ftui.worker.objectives.sft import config

    ours = config(case.recipe, precision, device, folder)
    names = (
        "output_dir", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "optim",
        "weight_decay", "max_grad_norm", "gradient_checkpointing", "gradient_checkpointing_kwargs", "bf16", "fp16",
        "use_cpu",
    )
    return kind(
        **{name: getattr(ours, name) for name in names}, **more, max_steps=steps, report_to=[], eval_strategy="no",
        save_strategy="no", disable_tqdm=True, logging_steps=steps,
        remove_unused_columns=kind.__name__ != "TrainingArguments",
    )


class Rows:
    """As many rows of the case's length as the steps need."""

    def __init__(self, case: Case, steps: int) -> None:
        self.count = steps * int(case.recipe.train.effective_batch)
        self.length, self.vocabulary = case.length, 97

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        ids = [(7 * index + place) % self.vocabulary for place in range(self.length)]
        half = self.length // 2
        return {"input_ids": ids, "labels": ids, "seq_lengths": [half, self.length - half]}


def stacked(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A micro-batch of rows of one length."""
    import torch

    ids = torch.tensor([row["input_ids"] for row in rows])
    return {"input_ids": ids, "labels": ids.clone(), "attention_mask": torch.ones_like(ids)}


def tokenizer() -> Any:
    """Words w0 to w96 by number: trainers want a tokenizer, and trl's tokenizes pairs with it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(97)} | {"<unk>": 97, "<pad>": 98, "<eos>": 99}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>"
    )


class Clock:
    """When each step ended."""

    def __init__(self, device: str) -> None:
        self.device, self.times = device, [time.monotonic()]

    def callback(self) -> Any:
        from transformers import TrainerCallback

        clock = self

        class Ticks(TrainerCallback):
            def on_step_end(self, *args: Any, **kwargs: Any) -> None:
                clock.tick()

        return Ticks()

    def tick(self) -> None:
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()
        self.times.append(time.monotonic())

    def seconds(self) -> float:
        """Seconds of a step, the first one left out where there are more."""
        first = 1 if len(self.times) > 2 else 0
        return (self.times[-1] - self.times[first]) / (len(self.times) - 1 - first)


def peaks(device: str, before: int) -> dict[str, Any]:
    """What the allocator and the driver say, in bytes; on a CPU the resident set."""
    from ftui.worker.memory import peak_bytes

    if device == "cpu":
        return {"process": peak_bytes("cpu")}
    import torch

    reserved = torch.cuda.memory_reserved()
    held = process_bytes()
    outside = (held if held is not None else used_bytes(device) - before) - reserved
    return {
        "allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved(),
        "context": outside, "process": torch.cuda.max_memory_reserved() + outside,
        "context_by": "the driver's list of processes" if held is not None else "what the whole card uses more",
    }


def process_bytes() -> int | None:
    """What the driver says that this process holds; None where it doesn't know it, as in most containers."""
    from ftui.hardware.driver import DriverError
    from ftui.hardware.nvml import Nvml

    try:
        driver = Nvml()
        found = [entry for gpu in range(driver.ask("count")) for entry in driver.ask("processes", gpu)]
    except DriverError:
        return None
    held = [entry["used_bytes"] for entry in found if entry["pid"] == os.getpid() and entry["used_bytes"]]
    return sum(held) or None


def used_bytes(device: str) -> int:
    """What is used on the whole card."""
    if device == "cpu":
        return 0
    import torch

    free, total = torch.cuda.mem_get_info()
    return int(total - free)


if __name__ == "__main__":
    main()
