"""Loading torch, transformers, peft and trl: most of the time until the first step, so no more of it than needed."""

from __future__ import annotations

import gc
import importlib
import sys

from ftui.recipe.document import Recipe


def load(recipe: Recipe) -> None:
    """Import what a training by `recipe` needs."""
    if not needs_bitsandbytes(recipe):
        # peft imports it wherever it is installed, and with it torch's whole compiler: a second and 80 MB.  None is
        # Python's own way to say that a module isn't to be had.
        sys.modules.setdefault("bitsandbytes", None)  # type: ignore[arg-type]
    gc.disable()
    try:
        if recipe.train.optimizer not in WITHOUT_BITSANDBYTES:
            # A trace puts its own in place of some of its functions, which must be there by then.
            importlib.import_module("bitsandbytes")
        for name in (f"objectives.{recipe.objective.kind}", "adapters", "answers", "canary", "session", "tracking"):
            importlib.import_module(f"ftui.worker.{name}")
    finally:
        # Hundreds of thousands of objects that live as long as the process: no collection need look at them again.
        gc.freeze()
        gc.enable()


WITHOUT_BITSANDBYTES = ("auto", "adamw", "adafactor", "sgd", "rmsprop", "muon", "schedule_free", "galore")
"""Optimizers of other libraries."""


def needs_bitsandbytes(recipe: Recipe) -> bool:
    """Whether the base is quantized or the optimizer's states are."""
    return (
        recipe.model.quantization in ("nf4", "fp4", "int8")
        or getattr(recipe.objective, "teacher_quantization", "none") != "none"
        or recipe.train.optimizer not in WITHOUT_BITSANDBYTES
    )
