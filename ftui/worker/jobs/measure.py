"""The `measure` job: two steps of a training on the card itself, with the real model and the longest rows; nothing is
saved.

The way to the first step is the training's own (`ftui.worker.jobs.train.build`), and so is the trial step
(`ftui.worker.canary`): what is measured is what a run would take.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from typing import Any

from ftui.errors import BadInput, RunFailed
from ftui.recipe.trainable import planned_only
from ftui.units import gib
from ftui.worker import canary, recovery
from ftui.worker.base import choose_device, folder_of, set_allocator
from ftui.worker.context import JobContext
from ftui.worker.jobs.train import Built, build, prepared_for
from ftui.worker.memory import peak_bytes, process_bytes

STEPS = 2
"""The second one has the optimizer's states beside its activations."""


class _Enough(Exception):
    """Leaves transformers' loop once its optimizer stands and the steps are measured."""


def run(context: JobContext) -> None:
    """Measure the peak of the run's recipe and say it beside what was planned."""
    recipe = context.recipe()
    if found := planned_only(recipe):
        raise BadInput(*found)
    set_allocator(recipe)
    choose_device(recipe)
    folder = folder_of(context, recipe.model.base, recipe.model.revision)
    if folder is None:
        context.finish("Stopped before the base model was here; nothing was measured.")
        return
    prepared = prepared_for(context, recipe, folder)
    if context.stop_asked:
        context.finish("Stopped before anything was measured.")
        return
    began = time.monotonic()
    try:
        built = build(context, recipe, folder, prepared)
        context.emit("status", state="running", text="Measuring two steps on the longest rows.")
        peak = _two_steps(built, int(recipe.train.micro_batch))
    except recovery.MAY_BE_MEMORY as error:
        if not recovery.is_out_of_memory(error):
            raise
        raise RunFailed(
            f"Two steps on the longest rows don't fit: {str(error).splitlines()[0].rstrip('.')}.",
            recovery.advice(recipe),
        ) from None
    taken: dict[str, Any] = {"peak_bytes": peak, "seconds": time.monotonic() - began, "steps": STEPS}
    if built.device == "cuda":
        taken |= _on_the_card()
    plan = context.run.plan()
    planned = plan.recommendation.memory if plan else None
    expected = "" if planned is None else (
        f", {gib(planned.reserved_bytes if built.device == 'cuda' else planned.process_bytes, 2)} estimated"
    )
    context.finish(f"Two steps on the longest rows took {gib(peak, 2)}{expected}.", metrics=taken)


def _two_steps(built: Built, rows: int) -> int:
    """The peak in bytes, taken where a training would begin its first step."""
    from transformers import TrainerCallback

    peaks: list[int] = []

    class Probe(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            peaks.append(canary.run(built.trainer, rows, built.device, steps=STEPS))
            raise _Enough

    built.trainer.add_callback(Probe())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        with contextlib.suppress(_Enough):
            built.trainer.train()
    return peaks[0]


def _on_the_card() -> dict[str, int]:
    """Peak of the tensors, and what the process holds with its context, where the driver says so."""
    import torch

    found = {"allocated_bytes": int(torch.cuda.max_memory_allocated())}
    if (held := process_bytes()) is not None:
        # The driver says what is held now; the allocator held more at its peak.
        found["process_bytes"] = held - int(torch.cuda.memory_reserved()) + peak_bytes("cuda")
    return found
