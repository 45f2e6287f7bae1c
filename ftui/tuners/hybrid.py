"""Several adapters of different types that train, save, load and switch as one.

peft holds one type per model.  A hybrid's config holds a config for each of its parts; each part is put on by its own
tuner, so that it has all of that type's options, and what they leave in the model is told apart by nobody: peft finds
the tensors to save, the gradients to take and the layers to switch by asking for tuner layers of whatever type.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft.config import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

from ftui.tuners.registering import type_named
from ftui.tuners.wrapping import BlockTuner, peeled


@dataclass
class HybridConfig(PeftConfig):
    """Adapters that are one; `parts` are peft configs, or dicts as their `to_dict` gives them."""

    parts: list[Any] = field(default_factory=list, metadata={"help": "The parts' own configs."})
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Modules that train whole and are saved, such as a head of scores."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = type_named("HYBRID")
        self.parts = [
            part if isinstance(part, PeftConfig) else PEFT_TYPE_TO_CONFIG_MAPPING[part["peft_type"]](**part)
            for part in self.parts
        ]
        types = [part.peft_type for part in self.parts]
        if len(set(types)) < max(2, len(types)):
            raise ValueError(f"A hybrid needs two or more parts of different types, and got {types}.")
        if unknown := [t for t in types if not issubclass(PEFT_TYPE_TO_TUNER_MAPPING[t], BaseTuner)]:
            raise ValueError(f"{', '.join(unknown)} can't be part of a hybrid; for a prompt take SOFT_PROMPT.")

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON can hold it: what the parts' tuners filled in is written out."""
        return {**super().to_dict(), "parts": [_plain(part.to_dict()) for part in self.parts]}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: sorted(value) if isinstance(value, set) else value for key, value in values.items()}


class HybridModel(BlockTuner):
    """Puts on every part of a hybrid, the innermost first."""

    prefix = "hybrid_"
    tuner_layer_cls = BaseTunerLayer
    # A part may keep state with its tuner.
    uses_shared_state = True

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        self._tuners: dict[str, BaseTuner] = {}

    def inject_adapter(
        self, model: nn.Module, adapter_name: str, autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False, state_dict: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Put the parts of the adapter of that name on `model`."""
        if state_dict is not None:
            raise ValueError("A hybrid can't be put on by a state dict alone: its config says what the parts are.")
        config: Any = self.peft_config[adapter_name]
        for part in sorted(config.parts, key=lambda one: _depth(one)):
            part.inference_mode = config.inference_mode
            with peeled(model, _depth(part)), _unmarked(model):
                self._put_on(model, part, adapter_name, low_cpu_mem_usage)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _put_on(self, model: nn.Module, part: Any, adapter_name: str, low_cpu_mem_usage: bool) -> None:
        if tuner := self._tuners.get(part.peft_type):
            tuner.peft_config[adapter_name] = part
            tuner.active_adapter = self.active_adapter
            tuner.inject_adapter(model, adapter_name, low_cpu_mem_usage=low_cpu_mem_usage)
            return
        kind = PEFT_TYPE_TO_TUNER_MAPPING[part.peft_type]
        tuner = kind(model, {adapter_name: part}, adapter_name, low_cpu_mem_usage=low_cpu_mem_usage)
        self._tuners[part.peft_type] = tuner
        # What a tuner keeps for all its layers is saved with the model only if it stands in it.
        for name, child in tuner.named_children():
            if name != "model":
                self.add_module(name, child)

    def _create_and_replace(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("A hybrid's parts are put on by their own tuners.")

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Set the active adapters in every part."""
        super().set_adapter(adapter_name, inference_mode=inference_mode)
        for tuner in self._tuners.values():
            tuner.set_adapter(adapter_name, inference_mode=inference_mode)

    def delete_adapter(self, adapter_name: str) -> None:
        """Delete an adapter from every part."""
        for tuner in self._tuners.values():
            if adapter_name in tuner.peft_config:
                tuner.delete_adapter(adapter_name)
        del self.peft_config[adapter_name]
        self.active_adapter = next(iter(self._tuners.values())).active_adapter

    def _unload_and_optionally_merge(self, merge: bool = True, *args: Any, **kwargs: Any) -> Any:
        if merge:
            raise NotImplementedError("A hybrid can't be merged: not all of its parts are changes of weights.")
        # Each pass takes off the outermost layers that are left.
        while any(isinstance(module, BaseTunerLayer) for module in self.model.modules()):
            super()._unload_and_optionally_merge(merge=False)
        return self.model


def _depth(part: Any) -> int:
    return int(getattr(PEFT_TYPE_TO_TUNER_MAPPING[part.peft_type].tuner_layer_cls, "depth", 0))


@contextmanager
def _unmarked(model: nn.Module) -> Iterator[None]:
    """Hide that `model` has adapters, which a tuner would take for another's that it mustn't touch."""
    mark = model.__dict__.pop("peft_config", None)
    try:
        yield
    finally:
        model.__dict__.pop("peft_config", None)
        if mark is not None:
            model.peft_config = mark
