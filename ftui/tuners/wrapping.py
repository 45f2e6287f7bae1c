"""Tuner layers around whole blocks of a model, where peft's own stand around single linear modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

ATTENTION = ("self_attn", "attn", "attention", "self_attention", "linear_attn", "temporal_block", "mixer")
"""What transformers' decoder layers call the block that mixes tokens."""
MLP = ("mlp", "feed_forward", "block_sparse_moe", "moe", "ffn")
"""What they call the block that works on each token."""
LAYER = re.compile(r"(?:.*\.)?(?:layers|h|blocks|block)\.\d+\.(?P<name>\w+)")


class Wrapper(nn.Module, BaseTunerLayer):
    """A tuner layer around a block; what it doesn't have itself is the block's."""

    base_layer: Any
    depth = 1
    """How far outside it stands: single modules are at 0, blocks at 1, the whole decoder at 2."""

    def __init__(self, base_layer: nn.Module):
        super().__init__()
        self.base_layer = base_layer
        self.merged_adapters = []

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":  # not there yet
                raise
            return getattr(self.base_layer, name)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Never: what stands around a block is no matrix that could be added to one of its weights."""
        raise NotImplementedError(f"A {type(self).__name__} can't be merged into the base model's weights.")

    def shown(self) -> list[str]:
        """The names of the adapters that this layer applies now."""
        if self.disable_adapters:
            return []
        return [name for name in self.active_adapters if name in getattr(self, self.adapter_layer_names[0])]


class BlockTuner(BaseTuner):
    """A tuner whose layers stand around blocks, which have no weight of their own to follow."""

    target_module_mapping: dict[str, list[str]] = {}

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        setattr(parent, child_name, new_module)


def sublayers(model: nn.Module) -> tuple[list[str], list[str]]:
    """The names under which `model`'s decoder layers hold their attention and their MLP blocks."""
    names = {found["name"] for name, _ in model.named_modules() if (found := LAYER.fullmatch(name))}
    return [name for name in ATTENTION if name in names], [name for name in MLP if name in names]


@contextmanager
def peeled(model: nn.Module, depth: int) -> Iterator[None]:
    """Take off all wrappers that stand outside of `depth`, so that modules have their own names again."""
    wrappers = []
    for name, module in list(model.named_modules()):
        if isinstance(module, Wrapper) and module.depth > depth:
            path = name.removesuffix(".base_layer").rpartition(".")
            parent = model.get_submodule(path[0])
            wrappers.append((parent, path[2], module))
    for parent, child, module in wrappers:
        setattr(parent, child, module.base_layer)
    try:
        yield
    finally:
        for parent, child, module in reversed(wrappers):
            module.base_layer = getattr(parent, child)
            setattr(parent, child, module)
