"""Where each step of a run stands on the axes that runs are laid over: steps, tokens seen, time trained."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Literal

from ftui.runs.document import Event
from ftui.runs.index_pages import PageFile, Pages
from ftui.runs.stretch import Stretch

Axis = Literal["step", "tokens", "time"]
AXES: tuple[Axis, ...] = ("step", "tokens", "time")


class Places:
    """The tokens and the seconds at each step at which a run measured something, fed event by event.

    Seconds are those of training, from the first metric on: what lies between the last metric of one attempt and the
    first of the next doesn't count, what an attempt did beyond its last checkpoint does.
    """

    def __init__(self, file: PageFile | None = None) -> None:
        """With a file most of it will lie there."""
        self.steps = Pages("q", file)
        self.tokens = Pages("d", file)
        """NaN where none are counted."""
        self.seconds = Pages("d", file)
        self.rewinds = 0
        """Grows whenever a step was taken back: whoever derived something from the places starts over."""
        self._attempt = 0
        self._zero = 0.0
        """The event time that stands for zero in this attempt."""
        self._reached = 0.0

    def add(self, event: Event) -> None:
        """Take in one event; only metrics say where a step stands."""
        if event.kind == "metric" and event.step is not None and 0 <= event.step < 1 << 62:
            tokens = event.data.get("tokens")
            counted = isinstance(tokens, int | float) and not isinstance(tokens, bool) and 0 <= tokens < 1e18
            self._put(event.step, event.time, float(tokens) if counted else math.nan, event.attempt)  # type: ignore[arg-type]

    def add_stretch(self, stretch: Stretch) -> None:
        """Take in many metrics at once."""
        tokens = stretch.columns.get("tokens") or array("d", [math.nan]) * len(stretch.steps)
        for step, when, count in zip(stretch.steps, stretch.times, tokens, strict=True):
            self._put(step, when, count, stretch.attempt)

    def _put(self, step: int, when: float, tokens: float, attempt: int) -> None:
        if attempt < self._attempt:
            return
        if attempt > self._attempt:
            self._attempt, self._zero = attempt, when - self._reached
            self._undo(self.steps.bisect_left(step))
        elif len(self.steps) and step <= self.steps[-1]:
            # A second word on a step says nothing new of where it stands.
            return
        # A clock that was set back must not lead a curve backwards, nor may tokens that are missing or fewer.
        self._reached = max(self._reached, when - self._zero)
        if len(self.tokens) and not tokens >= self.tokens[-1]:
            tokens = self.tokens[-1]
        self.steps.append(step)
        self.tokens.append(tokens)
        self.seconds.append(self._reached)

    def of(self, steps: Sequence[int], axis: Axis) -> list[float]:
        """Where on the axis these ascending steps stand: each where the newest metric at or before it does.

        One before the first metric stands at zero.  Empty where nothing tells.
        """
        if axis == "step":
            return list(map(float, steps))
        held = self.tokens if axis == "tokens" else self.seconds
        if not steps or not len(held) or math.isnan(held[-1]):
            return []
        begin = max(self.steps.bisect_right(steps[0]) - 1, 0)
        known, places = self.steps[begin:], held[begin:]
        if len(known) == len(steps) and known[0] == steps[0] and known[-1] == steps[-1]:
            # All curves of the training itself, as a rule.
            return list(places)
        found, at = [], 0
        for step in steps:
            while at + 1 < len(known) and known[at + 1] <= step:
                at += 1
            found.append(places[at] if known[at] <= step else 0.0)
        return found

    def _undo(self, index: int) -> None:
        if index < len(self.steps):
            for held in (self.steps, self.tokens, self.seconds):
                held.drop(index)
            self.rewinds += 1
