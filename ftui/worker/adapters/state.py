"""What a checkpoint needs of an adapter besides peft's own files.

peft saves an adapter as it is used: the vectors that a prompt's network makes, and not the network; those that a
prompt has moved to, and not from where.  Loaded into a model in training, such a file trains on as something else
without a word, or doesn't fit; of X-LoRA's files the trainer loads the adapters that are mixed and not their gate.
Here the trained tensors themselves are kept, and AdaLoRA's running averages.
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

    if tensors := {**_trained(model), **_averages(model)}:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, folder / FILE)


def load_state(model: Any, folder: Path) -> bool:
    """Put back what `save_state` wrote, in place; True where that is all there is, and peft's files are not needed."""
    from safetensors.torch import load_file

    if not (folder / FILE).exists():
        return False
    saved = load_file(folder / FILE)
    parameters = _trained(model)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
    if allocator := _allocator(model):
        devices = {name: parameter.device for name, parameter in model.base_model.model.named_parameters()}
        for average in AVERAGES:
            found = {name.removeprefix(f"{average}:"): each for name, each in saved.items() if name.startswith(average)}
            setattr(allocator, average, {name: each.to(devices[name]) for name, each in found.items()})
        # peft begins all three anew where the first is missing; this one is written at every step.
        allocator.ipt = {name: torch.zeros_like(tensor) for name, tensor in allocator.exp_avg_ipt.items()}
    return bool(parameters)


def _trained(model: Any) -> dict[str, torch.nn.Parameter]:
    """What trains, with all that makes virtual tokens, of a model whose own files don't bring it back; else nothing."""
    mixes = any(config.peft_type == "XLORA" for config in getattr(model, "peft_config", {}).values())
    if not mixes and not isinstance(getattr(model, "prompt_encoder", None), torch.nn.Module):
        return {}
    return {
        name: parameter for name, parameter in model.named_parameters()
        if parameter.requires_grad or name.startswith("prompt_encoder.")
    }


def _averages(model: Any) -> dict[str, torch.Tensor]:
    if (allocator := _allocator(model)) is None:
        return {}
    return {f"{average}:{name}": each for average in AVERAGES for name, each in getattr(allocator, average).items()}


def _allocator(model: Any) -> Any:
    return getattr(getattr(model, "base_model", None), "rankallocator", None)
