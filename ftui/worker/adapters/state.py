"""What a checkpoint needs of an adapter besides peft's own files.

peft saves an adapter as it is used: the vectors that a prompt's network makes, and not the network; those that a
prompt has moved to, and not from where.  Loaded into a model in training, such a file would train on as something else,
without a word.  Here the trained tensors themselves are kept, and AdaLoRA's running averages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

FILE = "adapter_state.safetensors"
AVERAGES = ("exp_avg_ipt", "exp_avg_unc")
"""AdaLoRA's two running averages of every entry, by their names in peft's `RankAllocator`."""


def save_state(model: Any, folder: Path) -> None:
    """Write into `folder` what peft's files leave out of `model`; nothing where they hold everything."""
    from safetensors.torch import save_file

    if tensors := _kept(model):
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, folder / FILE)


def load_state(model: Any, folder: Path) -> None:
    """Put back what `save_state` wrote, in place; nothing where it wrote nothing."""
    from safetensors.torch import load_file

    if not (folder / FILE).exists():
        return
    saved = load_file(folder / FILE)
    with torch.no_grad():
        for name, parameter in _prompts(model).items():
            parameter.copy_(saved[name])
    if allocator := _allocator(model):
        devices = {name: parameter.device for name, parameter in allocator_parameters(model)}
        for average in AVERAGES:
            kept: dict[str, torch.Tensor] = getattr(allocator, average)
            kept.clear()
            for name, tensor in saved.items():
                if name.startswith(f"{average}:"):
                    own = name.removeprefix(f"{average}:")
                    kept[own] = tensor.to(devices[own])
        # peft makes all three when the first is missing; this one is written anew at every step.
        allocator.ipt = {name: torch.zeros_like(tensor) for name, tensor in allocator.exp_avg_ipt.items()}


def allocator_parameters(model: Any) -> Any:
    """(name, parameter) as AdaLoRA's allocator calls them."""
    return model.base_model.model.named_parameters()


def _kept(model: Any) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = dict(_prompts(model))
    if allocator := _allocator(model):
        for average in AVERAGES:
            tensors |= {f"{average}:{name}": tensor for name, tensor in getattr(allocator, average).items()}
    return tensors


def _prompts(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters of what makes the virtual tokens, frozen ones included."""
    encoders = getattr(model, "prompt_encoder", None)
    return dict(encoders.named_parameters()) if isinstance(encoders, torch.nn.Module) else {}


def _allocator(model: Any) -> Any:
    return getattr(getattr(model, "base_model", None), "rankallocator", None)
