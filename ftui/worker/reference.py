"""The model that a preference objective holds the trained one against: how it is left out where it is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

COPY = "ref"
"""What trl calls the copy of an adapter that it keeps as the reference."""


class Referenced(Sequence[dict[str, Any]]):
    """Rows with the log-probabilities that the reference gave them: `answers` is (rows, names), float32."""

    def __init__(self, rows: Any, names: Sequence[str], answers: torch.Tensor) -> None:
        self.rows, self.names, self.answers = rows, names, answers

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return {**self.rows[index], **dict(zip(self.names, self.answers[index].tolist(), strict=True))}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)


def leave_out_copy(model: Any) -> None:
    """Forget trl's copy of an adapter that has just been put on: while it changes nothing, the reference is the model
    with its adapter switched off, which takes no memory."""
    if COPY in getattr(model, "peft_config", {}) and changes_nothing(model):
        forget(model, COPY)


def changes_nothing(model: Any) -> bool:
    """Whether an adapter of matrices has not been trained yet: one of its two factors is zero everywhere."""
    config = model.peft_config["default"]
    if getattr(config, "peft_type", None) != "LORA" or getattr(config, "init_lora_weights", True) not in (
        True, "gaussian"
    ):
        return False
    seconds = [parameter for name, parameter in model.named_parameters() if ".lora_B.default" in name]
    return bool(seconds) and all(not parameter.any() for parameter in seconds)


def forget(model: Any, adapter: str) -> None:
    """Take an adapter out of a peft model."""
    model.delete_adapter(adapter)
