"""Count the work of real training steps:  python benchmarks/planner/work.py

A small Llama trains one step on the CPU for each case, while every dispatched operation is counted as the dry trace
counts it (`ftui.worker.trace.work`).  The counts go to tests/planner/counted_work.json, against which
`ftui.planner.work` is held.
"""

from __future__ import annotations

import json
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ftui.worker.loss import add_loss
from ftui.worker.trace.work import work_of

RESULT = Path(__file__).resolve().parents[2] / "tests" / "planner" / "counted_work.json"
MODEL = {
    "vocab_size": 1024, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32, "tie_word_embeddings": False,
}
ROWS, LENGTH, RANK = 2, 96, 8
ALL = "all-linear"
CASES: dict[str, dict[str, Any]] = {
    "full": {"method": "full"},
    "full, checkpointing": {"method": "full", "checkpointing": True},
    "full, float32": {"method": "full", "dtype": "float32"},
    "lora": {"method": "lora"},
    "lora, checkpointing": {"method": "lora", "checkpointing": True},
    "lora, query and value": {"method": "lora", "targets": ["q_proj", "v_proj"]},
    "lora, all logits": {"method": "lora", "loss": "full"},
    "lora, padded": {"method": "lora", "padded": True},
    "lora, float32": {"method": "lora", "dtype": "float32"},
    "lora in 16 bits": {"method": "lora", "adapter": "bfloat16"},
}


class Counter(TorchDispatchMode):
    """Adds up what is dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.found = {"half": 0.0, "single": 0.0, "moved": 0.0, "kernels": 0}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(made) if isinstance(each, torch.Tensor)]
        if (work := work_of(func, args, kwargs or {}, tensors)) is not None:
            self.found["half"] += work.flops_half
            self.found["single"] += work.flops_single
            self.found["moved"] += work.bytes_moved
            self.found["kernels"] += work.operations
        return made


def count(case: dict[str, Any]) -> dict[str, float]:
    """One step's counts, after a first step that makes the optimizer's states."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = getattr(torch, case.get("dtype", "bfloat16"))
    config = AutoConfig.for_model("llama", **MODEL)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.config.use_cache = False
    add_loss(model, case.get("loss", "chunked"))
    if case["method"] == "lora":
        model = get_peft_model(model, LoraConfig(
            r=RANK, lora_alpha=16, target_modules=case.get("targets", ALL), task_type="CAUSAL_LM",
        ))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(getattr(torch, case.get("adapter", "float32")))
    if case.get("checkpointing"):
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if case["method"] == "lora":
            model.enable_input_require_grads()
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    tokens = torch.randint(0, MODEL["vocab_size"], (ROWS, LENGTH))
    mask = torch.ones_like(tokens)
    mask[0, -3:] = 0 if case.get("padded") else 1

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if dtype == torch.bfloat16 else nullcontext():
            loss = model(input_ids=tokens, attention_mask=mask, labels=tokens, summed_loss=True).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step()
    with Counter() as counter:
        step()
    return counter.found


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    found = {name: {**case, "counted": count(case)} for name, case in CASES.items()}
    RESULT.write_text(json.dumps({"model": MODEL, "rows": ROWS, "length": LENGTH, "rank": RANK, "cases": found},
                                 indent=1) + "\n", encoding="utf-8")
    for name, case in found.items():
        print(f"{name:24s} {case['counted']}")


if __name__ == "__main__":
    main()
