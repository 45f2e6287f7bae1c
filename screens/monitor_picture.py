"""`Picture`: all that a run's events have told so far, folded for drawing.  Pure: no Textual, no files.

Several attempts write one history: where a resumed run repeats a step, what the newest attempt said stands.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any

from ftui.diagnosis.finding import Finding, told
from ftui.runs.document import Event
from ftui.runs.index_pages import PageFile
from ftui.runs.stretch import Stretch
from ftui.units import clock, gib, plain

from .monitor_axes import short
from .monitor_series import Series

KEPT_LINES = 5000
"""Event lines held for the events tab; the file keeps them all."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of the model while it was being tuned; `base` is the untuned model's answer to the same prompt."""

    index: int
    prompt: str
    text: str
    base: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """One event for reading: `tone` is "info", "good", "warning" or "error"."""

    time: float
    step: int | None
    attempt: int
    kind: str
    text: str
    hint: str | None = None
    tone: str = "info"


@dataclass
class Picture:
    """What is known of one run.  `take()` folds events in; everything else reads."""

    series: dict[str, Series] = field(default_factory=dict)
    samples: dict[int, dict[int, Sample]] = field(default_factory=dict)
    """By step, then by the prompt's index."""
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    taken_lines: int = 0
    """How many lines there ever were: the newest `taken_lines - seen` are new to a viewer that saw `seen`."""
    attempt: int = 0
    step: int = 0
    total: int | None = None
    doing: str = ""
    """The newest status or progress, in words."""
    done: tuple[float, float | None, str] | None = None
    """Progress of what is done before the first step or after the last one: done, total, unit."""
    newest: float | None = None
    """Time of the newest event."""
    best: tuple[int, float] | None = None
    """Step and value of the best evaluation."""
    judged_by: str = "eval_loss"
    """The curve that says which evaluation is best."""
    saved: bool = False
    """Whether any attempt wrote a checkpoint."""
    end: Event | None = None
    diagnosis: Finding | None = None
    """What the newest attempt's curves show, the newest warning before any note."""
    restarts: int = 0
    """How often the run's file was replaced while it was read: this picture begins with the newest one."""
    changes: int = 0
    """Grows with every event: a viewer draws anew only when it has changed."""
    file: PageFile | None = None
    """Where most of the numbers lie; without one they are in memory."""
    _bases: dict[int, str] = field(default_factory=dict)
    _step_times: Series = field(default_factory=Series)
    _diagnosed: Event | None = None
    """The event that told it."""
    _began: float | None = None
    """Time of this attempt's first event."""
    _earlier: float = 0.0
    """Seconds that earlier attempts worked."""

    def take(self, events: Iterable[Event | Stretch]) -> bool:
        """Fold the events in, in their order; whether there were any."""
        before = self.changes
        for event in events:
            self.changes += 1
            if isinstance(event, Stretch):
                self._take_stretch(event)
                continue
            if event.attempt > self.attempt:
                self._new_attempt(event)
            self.newest = event.time
            getattr(self, f"_take_{event.kind}")(event, event.data)
        return self.changes > before

    @property
    def metrics(self) -> set[str]:
        """The names of the curves that hold at least one value."""
        return {name for name, series in self.series.items() if len(series)}

    def last(self, name: str) -> float | None:
        """The newest value of a metric, None where there is none."""
        series = self.series.get(name)
        return series.last if series is not None else None

    def peak(self, name: str) -> float | None:
        """The largest value of a metric so far."""
        series = self.series.get(name)
        extent = series.bounds() if series is not None else None
        return extent[1] if extent else None

    def elapsed(self, now: float | None = None) -> float | None:
        """Seconds of work over all attempts, up to `now` for a run that goes on; pauses between them don't count."""
        if self._began is None or self.newest is None:
            return None
        return self._earlier + max((now or self.newest) - self._began, 0.0)

    def seconds_at(self, step: float) -> float | None:
        """Seconds from the first metric to the one at or after `step`."""
        reached = _at(self._step_times, step)
        return None if reached is None else reached - self._step_times.values[0]

    def epoch_at(self, step: float) -> float | None:
        """The epoch that `step` lies in, where the run says so."""
        return _at(self.series.get("epoch"), step)

    def measured(self) -> dict[str, float]:
        """What can be held against the plan: peak bytes, seconds per step (the median so far), tokens per second."""
        found = {
            "peak": self.peak("gpu_reserved_bytes") or self.peak("rss_bytes"),
            "step_seconds": _median(self.series.get("step_seconds")),
            "tokens_per_second": _median(self.series.get("tokens_per_second")),
        }
        return {name: value for name, value in found.items() if value is not None}

    def use(self, file: PageFile) -> None:
        """Put most of the numbers into `file` from now on."""
        self.file = file
        for series in (*self.series.values(), self._step_times):
            series.use(file)

    def state(self) -> dict[str, Any]:
        """All of it for `restored`, in lists, texts, numbers and arrays."""
        return {name: getattr(self, name) for name in PLAIN} | {
            "series": {name: series.state() for name, series in self.series.items()},
            "step_times": self._step_times.state(),
            "samples": [[step, *astuple(one)] for step, held in self.samples.items() for one in held.values()],
            "bases": [*self._bases.items()],
            "lines": [astuple(line) for line in self.lines],
            "end": self.end.model_dump_json() if self.end is not None else None,
            "diagnosis": self._diagnosed.model_dump_json() if self._diagnosed is not None else None,
        }

    @classmethod
    def restored(cls, state: dict[str, Any], file: PageFile) -> Picture:
        """The picture with this state, most of whose numbers lie in `file`."""
        made = cls(file=file, **{name: state[name] for name in PLAIN if not name.startswith("_")})
        made._began, made._earlier = state["_began"], state["_earlier"]
        made.done, made.best = (tuple(held) if held else None for held in (state["done"], state["best"]))
        made.series = {name: Series.restored(held, file) for name, held in state["series"].items()}
        made._step_times = Series.restored(state["step_times"], file)
        for step, *sample in state["samples"]:
            made.samples.setdefault(step, {})[sample[0]] = Sample(*sample)
        made._bases = dict(state["bases"])
        made.lines.extend(Line(*line) for line in state["lines"])
        made.end = Event.model_validate_json(state["end"]) if state["end"] else None
        if state["diagnosis"]:
            made._diagnosed = Event.model_validate_json(state["diagnosis"])
            made.diagnosis = told(made._diagnosed)
        return made

    def _new_attempt(self, event: Event) -> None:
        if self.attempt:
            self._say(event, f"attempt {event.attempt} begins", tone="good")
        self._earlier = self.elapsed() or 0.0
        self._began = event.time
        self.attempt = event.attempt
        self.end = self.done = self.diagnosis = self._diagnosed = None
        self.doing = ""

    def _take_status(self, event: Event, data: dict[str, Any]) -> None:
        self.doing = plain(str(data.get("text") or data.get("state") or ""))
        self.done = None
        if not self.series:
            # Of a run that leads others: the steps were those of the stage before.
            self.step, self.total = 0, None
        self._say(event, self.doing or "status")

    def _take_progress(self, event: Event, data: dict[str, Any]) -> None:
        done, total, unit = _number(data.get("done")), _number(data.get("total")), str(data.get("unit") or "")
        if data.get("text"):
            self.doing = plain(str(data["text"]))
        if unit == "step":
            self.total = int(total) if total else self.total
            self.step = int(done or 0)
            self.done = None
        else:
            # Nothing of nobody knows how much says no more than the text does.
            self.done = (done or 0.0, total, unit) if done or total else None

    def _take_metric(self, event: Event, data: dict[str, Any]) -> None:
        step = event.step
        if step is None or not 0 <= step < 1 << 62:
            return
        self.step, self.done = step, None
        if "loss" in data and data["loss"] is None and self.last("loss") is not None:
            self._say(event, "the loss is not a number from this step on", tone="warning")
        for name, value in event.measured.items():
            if type(value) is not float:
                if value is not None and type(value) is not int:
                    continue
                value = _number(value)
            series = self.series.get(name)
            if series is None:
                series = self.series[name] = Series(self.file)
            series.append(step, value, event.attempt)
        self._step_times.append(step, event.time, event.attempt)

    def _take_stretch(self, stretch: Stretch) -> None:
        """What its events one by one would have done."""
        self.newest, self.step, self.done = stretch.times[-1], stretch.steps[-1], None
        for name, values in stretch.columns.items():
            series = self.series.get(name)
            if series is None:
                series = self.series[name] = Series(self.file)
            series.extend(stretch.steps, values, stretch.attempt, gaps=name in stretch.gaps)
        self._step_times.extend(stretch.steps, stretch.times, stretch.attempt, gaps=False)

    def _take_evaluation(self, event: Event, data: dict[str, Any]) -> None:
        if event.step is None or not 0 <= event.step < 1 << 62:
            return
        found = {name: _number(value) for name, value in event.measured.items() if name.startswith("eval_")}
        for name, value in found.items():
            self.series.setdefault(name, Series(self.file)).append(event.step, value, event.attempt)
        if isinstance(data.get("judged_by"), str):
            self.judged_by = f"eval_{data['judged_by']}"
        self._find_best(event)
        best = self.best is not None and self.best[0] == event.step
        # Answers that were generated have a reward, and no loss that would say anything.
        told = [name for name in dict.fromkeys(("eval_loss", self.judged_by)) if name in found]
        words = ", ".join(f"{plain(name.removeprefix('eval_'))} {short(found[name])}" for name in told)
        took = f" in {clock(data['seconds'])}" if _number(data.get("seconds")) is not None else ""
        self._say(event, f"{words}{took}{', the best so far' if best else ''}", tone="good")

    def _take_sample(self, event: Event, data: dict[str, Any]) -> None:
        step, index = event.step or 0, int(_number(data.get("index")) or 0)
        base = data.get("base")
        if base is not None:
            self._bases[index] = str(base)
        at_step = self.samples.setdefault(step, {})
        at_step[index] = Sample(index, event.asked, str(data.get("text", "")), self._bases.get(index))

    def _take_checkpoint(self, event: Event, data: dict[str, Any]) -> None:
        self.saved = True
        size = f", {gib(data['bytes'])}" if _number(data.get("bytes")) is not None else ""
        best = ", the best so far" if data.get("best") else ""
        self._say(event, f"saved {data.get('path', '')}{size}{best}", tone="good")

    def _take_warning(self, event: Event, data: dict[str, Any]) -> None:
        self._say(event, data.get("text"), data.get("hint"), "warning")

    def _take_diagnosis(self, event: Event, data: dict[str, Any]) -> None:
        found = told(event)
        if self.diagnosis is None or found.weight >= self.diagnosis.weight:
            self.diagnosis, self._diagnosed = found, event
        self._say(event, found.text or found.name, found.hint, "warning")

    def _take_recovery(self, event: Event, data: dict[str, Any]) -> None:
        self._say(event, data.get("text"), tone="warning")

    def _take_end(self, event: Event, data: dict[str, Any]) -> None:
        self.end = event
        tone = {"finished": "good", "failed": "error"}.get(str(data.get("status")), "warning")
        self._say(event, data.get("text") or data.get("status"), data.get("hint"), tone)

    def _say(self, event: Event, text: object, hint: object = None, tone: str = "info") -> None:
        said = plain(str(hint)) if hint else None
        line = Line(event.time, event.step, event.attempt, event.kind, plain(str(text or event.kind)), said, tone)
        self.lines.append(line)
        self.taken_lines += 1

    def _find_best(self, event: Event) -> None:
        """By the lowest loss of all; what is best by another value, the run itself has told."""
        if self.judged_by == "eval_loss":
            self.best = min(self.series.get("eval_loss", ()), key=lambda point: point[1], default=None)
        elif event.data.get("best") and event.step is not None and (value := self.last(self.judged_by)) is not None:
            self.best = (event.step, value)


PLAIN = ("taken_lines", "attempt", "step", "total", "doing", "done", "newest", "best", "judged_by", "saved", "changes",
         "_began", "_earlier")
"""The fields that a picture's state holds as they are."""


def _number(value: object) -> float | None:
    """The value if it is a number to draw (bool is none), else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _at(series: Series | None, step: float) -> float | None:
    """The value of the first point at or after `step`, of the last one if there is none."""
    return series.values[min(series.steps.bisect_left(step), len(series) - 1)] if series else None


def _median(series: Series | None) -> float | None:
    """The median of the newest values: what the run does now, whatever its first steps took."""
    if series is None or not len(series):
        return None
    newest: array[float] = series.values[-501:]
    return sorted(newest)[len(newest) // 2]
