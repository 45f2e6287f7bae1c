"""Where each step of a run stands on the axes that runs are laid over: steps, tokens seen, time trained."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from typing import Literal

from ftui.runs.document import Event

Axis = Literal["step", "tokens", "time"]
AXES: tuple[Axis, ...] = ("step", "tokens", "time")


class Places:
    """The tokens and the seconds at each step at which a run measured something, fed event by event.

    Seconds are those of training, from the first metric on: what lies between the last metric of one attempt and the
    first of the next doesn't count, what an attempt did beyond its last checkpoint does.
    """

    def __init__(self) -> None:
        self.steps = array("q")
        self.tokens = array("d")
        """NaN where none are counted."""
        self.seconds = array("d")
        self.rewinds = 0
        """Grows whenever a step was taken back: whoever derived something from the places starts over."""
        self._attempt = 0
        self._zero = 0.0
        """The event time that stands for zero in this attempt."""
        self._reached = 0.0

    def add(self, event: Event) -> None:
        """Take in one event; only metrics say where a step stands."""
        step = event.step
        if event.kind != "metric" or step is None or not 0 <= step < 1 << 62 or event.attempt < self._attempt:
            return
        if event.attempt > self._attempt:
            self._attempt, self._zero = event.attempt, event.time - self._reached
            self._undo(bisect_left(self.steps, step))
        elif self.steps and step <= self.steps[-1]:
            # A second word on a step says nothing new of where it stands.
            return
        # A clock that was set back must not lead a curve backwards.
        self._reached = max(self._reached, event.time - self._zero)
        tokens = event.data.get("tokens")
        counted = isinstance(tokens, int | float) and not isinstance(tokens, bool) and 0 <= tokens < 1e18
        self.steps.append(step)
        self.tokens.append(float(tokens) if counted else self.tokens[-1] if self.tokens else math.nan)  # type: ignore[arg-type]
        self.seconds.append(self._reached)

    def at(self, step: int, axis: Axis) -> float | None:
        """Where on the axis `step` stands, as the newest metric at or before it has it; None where nothing tells."""
        if axis == "step":
            return float(step)
        held = self.tokens if axis == "tokens" else self.seconds
        index = bisect_right(self.steps, step) - 1
        if index < 0:
            return 0.0 if self.steps and not math.isnan(held[0]) else None
        return None if math.isnan(held[index]) else held[index]

    def _undo(self, index: int) -> None:
        if index < len(self.steps):
            del self.steps[index:], self.tokens[index:], self.seconds[index:]
            self.rewinds += 1
