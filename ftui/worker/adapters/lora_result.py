"""The saved LoRA as a plain one: plain peft loads it onto the unchanged base and gets what was trained.

A start that took A₀ and B₀ out of the base is put back: W - sB₀A₀ + sBA = W + s [B, -B₀] [A; A₀], a LoRA of twice the
rank (what peft's `path_initial_model_for_weight_conversion` makes, but with every other trained tensor kept, and right
for rank-stabilized scaling with patterns as well).  Grouped first matrices are spread over their inputs.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ftui.methods.lora import CHANGES_BASE, LoraOptions

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def make_plain(saved: Path, options: LoraOptions, start: Path) -> None:
    """Rewrite the adapter in the folder `saved`; `start` is where `lora_start.started` kept how it began."""
    config: dict[str, Any] = json.loads((saved / CONFIG).read_text(encoding="utf-8"))
    if options.qalora_group or options.init in CHANGES_BASE:
        _rewrite(saved / WEIGHTS, options, start / WEIGHTS)
    if options.init in CHANGES_BASE:
        _double(config)
    # Any other start would be made anew at loading, only to be overwritten, and some can't be on a quantized base.
    config |= {"init_lora_weights": True, "eva_config": None, "corda_config": None, "lora_ga_config": None}
    (saved / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def _rewrite(file: Path, options: LoraOptions, start: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    before = load_file(start) if options.init in CHANGES_BASE else {}
    for name, tensor in tensors.items():
        first, second = ".lora_A." in name, ".lora_B." in name
        if options.qalora_group and first:
            from ftui.worker.adapters.qalora import spread

            tensors[name] = spread(tensor, options.qalora_group).contiguous()
        elif before and (first or second):
            then = before[name].to(torch.float32)
            both = (tensor.to(torch.float32), then if first else -then)
            tensors[name] = torch.cat(both, dim=0 if first else 1).contiguous()
    save_file(tensors, file, metadata={"format": "pt"})


def _double(config: dict[str, Any]) -> None:
    """Twice the ranks at the same scale, which is alpha / rank, or rank-stabilized alpha / √rank."""
    factor = math.sqrt(2) if config["use_rslora"] else 2
    config["r"] *= 2
    config["lora_alpha"] *= factor
    config["rank_pattern"] = {name: 2 * rank for name, rank in (config["rank_pattern"] or {}).items()}
    config["alpha_pattern"] = {name: factor * alpha for name, alpha in (config["alpha_pattern"] or {}).items()}
