"""The doctor at a training's bedside: listens to its metrics and evaluations, and says what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import psutil

from ftui.diagnosis import Doctor, Finding, case_of
from ftui.diagnosis.doctor import evaluated, newest
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
        if step is None or kind not in ("metric", "evaluation"):
            return
        if self._doctor.case.steps is None and (total := self._total()) > 0:
            self._doctor.case = replace(self._doctor.case, steps=total)
        for finding in take(self._doctor, Event(seq=0, attempt=0, time=0.0, kind=kind, step=step, data=data)):
            self._emit("diagnosis", step, **finding.as_data())


def take(doctor: Doctor, event: Event) -> list[Finding]:
    """What the doctor has to say to one metric or evaluation."""
    if event.kind == "metric":
        return doctor.metric(event.step or 0, event.measured)
    return doctor.evaluation(event.step or 0, evaluated(event))


def watch_over(
    context: JobContext, recipe: Recipe, trainer: Any, *, labels: int | None, judged_by: str, before: Iterable[Event],
) -> None:
    """Let the doctor look on from now on; `before` are the events of earlier attempts up to where this one begins."""
    import torch

    cuda = trainer.args.device.type == "cuda"
    case = case_of(
        recipe, vocabulary=getattr(trainer.model.config, "vocab_size", None), labels=labels, judged_by=judged_by,
        host_bytes=psutil.virtual_memory().total,
        device_bytes=torch.cuda.get_device_properties(trainer.args.device).total_memory if cuda else None,
    )
    events = list(before)
    doctor = Doctor(case, (str(event.data.get("name")) for event in events if event.kind == "diagnosis"))
    for event in newest(events):
        take(doctor, event)
    context.listen(Bedside(context.emit, doctor, lambda: int(trainer.state.max_steps)))
