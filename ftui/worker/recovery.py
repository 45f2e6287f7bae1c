"""When memory runs out: what to change, in the order that the recipe allows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ftui.recipe import assign
from ftui.recipe.adapter_combinations import UNCHECKPOINTED
from ftui.recipe.document import Recipe, Remedy
from ftui.recipe.online_combinations import wrong_online
from ftui.recipe.trainable import missing, planned_only

LADDER: tuple[Remedy, ...] = ("chunked_loss", "halve_batch", "checkpointing", "paged_8bit", "quantize_base")
"""Every remedy, what costs least first."""

Where = Literal["step", "evaluation", "loading"]
"""What the training was at when memory ran out."""

HELPS: dict[Where, tuple[Remedy, ...]] = {
    "step": LADDER,
    # Without gradients no activations are kept that checkpointing could drop.
    "evaluation": ("chunked_loss", "halve_batch", "paged_8bit", "quantize_base"),
    "loading": ("quantize_base",),
}
"""Which remedies change anything about it."""


@dataclass(frozen=True)
class Change:
    """Settings (dotted path -> value) that need less memory, and what they are in words."""

    settings: dict[str, Any]
    text: str


class RanOut(MemoryError):
    """Memory ran out in a part of a training whose remedies are others than a step's, or in its trial."""

    def __init__(self, text: str, where: Where) -> None:
        super().__init__(text)
        self.where = where


MAY_BE_MEMORY = (RuntimeError, MemoryError)
"""What memory that ran out is thrown as: torch's own error is a RuntimeError, too."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the GPU or the host; by name, so that torch need not be there."""
    if any(cls.__name__ == "OutOfMemoryError" for cls in type(error).__mro__) or isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


@contextlib.contextmanager
def during(where: Where) -> Iterator[None]:
    """Whatever says within that memory ran out becomes a `RanOut` that knows where."""
    try:
        yield
    except RanOut:
        raise
    except MAY_BE_MEMORY as error:
        if not is_out_of_memory(error):
            raise
        raise RanOut((str(error).strip().splitlines() or ["Out of memory"])[0], where) from None


def remedy(recipe: Recipe, *, has_checkpoint: bool, where: Where = "step") -> Change | None:
    """The first remedy of `recovery.out_of_memory` that still changes something and can be trained with here.

    The effective batch always stays; 8-bit optimizer states and a 4-bit base change the numbers, and say so.
    """
    for name in recipe.recovery.out_of_memory:
        change = _change(name, recipe, has_checkpoint, where) if name in HELPS[where] else None
        if change is not None and _can_be_trained(assign(recipe, change.settings)):
            return change
    return None


def advice(recipe: Recipe, where: Where = "step") -> str:
    """What to change by hand, as command-line settings, cheapest first."""
    every = (_change(name, recipe, False, where) for name in LADDER if name in HELPS[where])
    found = [change for change in every if change and _can_be_trained(assign(recipe, change.settings))]
    words = [f"--set {path}={value}" for change in found for path, value in change.settings.items()]
    if isinstance(recipe.data.max_length, int) and recipe.data.max_length > 256 and where != "loading":
        words.append(f"--set data.max_length={recipe.data.max_length // 2}")
    return f"Try {', or '.join(words)}." if words else "Choose a smaller base model, or quantize it."


def _can_be_trained(recipe: Recipe) -> bool:
    """Whether the changed recipe is one that this machine can train: nothing refused, no library missing."""
    import torch

    return planned_only(recipe) is None and missing(recipe, gpu=torch.cuda.is_available()) is None


def _fits(recipe: Recipe, rows: int) -> bool:
    """Whether micro-batches of `rows` make up the effective batch, and part no answers that must stay together."""
    if int(recipe.train.effective_batch) % rows:
        return False
    return next(wrong_online(assign(recipe, {"train.micro_batch": rows})), None) is None


def _change(name: str, recipe: Recipe, has_checkpoint: bool, where: Where) -> Change | None:
    train = recipe.train
    match name:
        case "halve_batch" if where == "evaluation":
            rows = recipe.evaluate.batch or int(train.micro_batch)
            return None if rows < 2 else Change(
                {"evaluate.batch": rows // 2}, f"evaluated in batches of {rows // 2} rows, which were {rows}",
            )
        case "halve_batch" if isinstance(train.micro_batch, int) and train.micro_batch > 1:
            effective = int(train.effective_batch)
            half = next((rows for rows in range(train.micro_batch // 2, 0, -1) if _fits(recipe, rows)), None)
            return None if half is None else Change(
                {"train.micro_batch": half},
                f"micro-batch {train.micro_batch} → {half}, gradients accumulated over {effective // half} of them",
            )
        case "checkpointing" if not train.checkpointing and recipe.adapter.kind not in UNCHECKPOINTED:
            return Change({"train.checkpointing": True}, "gradient checkpointing switched on")
        case "checkpointing" if train.checkpoint_layers is not None:
            return Change({"train.checkpoint_layers": None}, "every layer checkpointed, in place of "
                          f"{train.checkpoint_layers} of them")
        case "paged_8bit" if train.optimizer in ("auto", "adamw", "adamw_8bit") and not has_checkpoint:
            # A checkpoint's optimizer states don't fit another optimizer.
            return Change(
                {"train.optimizer": "paged_adamw_8bit"},
                "optimizer states in 8 bits, paged to host memory, which changes the numbers a little",
            )
        case "quantize_base" if recipe.model.quantization == "none" and recipe.adapter.kind != "none":
            return Change(
                {"model.quantization": "nf4"}, "the base model in 4 bits, which changes the numbers from here on",
            )
        case "chunked_loss" if train.loss != "chunked":
            return Change({"train.loss": "chunked"}, f"the loss computed chunk by chunk, which was {train.loss}")
        case _:
            return None
