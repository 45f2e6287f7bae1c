"""The doctor at a training's bedside: listens to its metrics and evaluations, and says what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil

from ftui.diagnosis import Doctor, case_of
from ftui.diagnosis.doctor import TOLD, Read, newest
from ftui.recipe.document import Recipe
from ftui.runs.document import Event, EventKind
from ftui.worker.context import JobContext


class Bedside:
    """A listener of `JobContext`: hands on to the doctor what is measured, and emits what the doctor finds."""

    def __init__(self, emit: Callable[..., None], doctor: Doctor, total: Callable[[], int]) -> None:
        """`total` tells the steps of the whole run, which are known only once it trains."""
        self._emit, self._doctor, self._total = emit, doctor, total

    def __call__(self, kind: EventKind, step: int | None, data: dict[str, Any]) -> None:
        """Take in an event that was just written."""
        if step is None or kind not in TOLD:
            return
        if self._doctor.case.steps is None and (total := self._total()) > 0:
            self._doctor.case = replace(self._doctor.case, steps=total)
        for finding in self._doctor.take(Event(seq=0, attempt=0, time=0.0, kind=kind, step=step, data=data)):
            self._emit("diagnosis", step, **finding.as_data())


def watch_over(
    context: JobContext, recipe: Recipe, trainer: Any, *, labels: int | None, judged_by: str, before: Read,
) -> None:
    """Let the doctor look on from now on; `before` reads the events of earlier attempts up to where this one begins."""
    import torch

    cuda = trainer.args.device.type == "cuda"
    case = case_of(
        recipe, vocabulary=getattr(trainer.model.config, "vocab_size", None), labels=labels, judged_by=judged_by,
        host_bytes=psutil.virtual_memory().total,
        device_bytes=torch.cuda.get_device_properties(trainer.args.device).total_memory if cuda else None,
    )
    doctor = Doctor(case, (str(event.data.get("name")) for event in before() if event.kind == "diagnosis"))
    for event in newest(before):
        doctor.take(event)
    context.listen(Bedside(context.emit, doctor, lambda: int(trainer.state.max_steps)))
