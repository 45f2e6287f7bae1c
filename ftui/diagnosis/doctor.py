"""`Doctor`: looks at each metric and evaluation as it comes, and says each thing that it sees once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftui.diagnosis.case import Case
from ftui.diagnosis.epochs import Epochs
from ftui.diagnosis.finding import Finding
from ftui.diagnosis.track import Track
from ftui.runs.document import Event

SOON, OFTEN, SELDOM = 200, 4, 16
"""Metrics between two looks: `OFTEN` among the first `SOON`, `SELDOM` afterwards."""
TOLD = ("metric", "evaluation")
"""The kinds of events that carry what was measured."""
HELD = 2
"""Looks in a row at which a finding must stand before it is said: a single bad batch is none."""


@dataclass
class Chart:
    """What the rules read: every value's track, the evaluations in their order, the losses by epoch."""

    tracks: dict[str, Track] = field(default_factory=dict)
    evaluations: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    epochs: Epochs = field(default_factory=Epochs)
    step: int = 0

    def __getitem__(self, name: str) -> Track:
        return self.tracks.setdefault(name, Track())

    def has(self, name: str, count: int) -> bool:
        """Whether there are at least `count` values of this name."""
        track = self.tracks.get(name)
        return track is not None and track.count >= count


Rule = Callable[[Case, Chart], Finding | None]


class Doctor:
    """Takes in a run's metrics and evaluations in the order of their steps.

    Costs well under a millisecond a metric, and a bounded amount of memory, however long the run.
    """

    def __init__(self, case: Case, told: Iterable[str] = ()) -> None:
        """`told` names what earlier attempts have said already."""
        from ftui.diagnosis import fit, machine, order, preferences, rewards, stability

        self.case, self.chart = case, Chart()
        self.told = set(told)
        self._rules: dict[str, tuple[Rule, ...]] = {
            "metric": stability.RULES + machine.RULES + rewards.RULES + preferences.RULES + order.RULES,
            "evaluation": fit.RULES,
        }
        self._standing: dict[str, int] = {}
        self._spoken: set[str] = set()
        """Rules that have said something: a second word about the same is none."""
        self._metrics = 0

    def metric(self, step: int, values: Mapping[str, Any]) -> list[Finding]:
        """Take in what a step measured (names as in `Event`); what is to be said now."""
        chart = self.chart
        chart.step = step
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                chart[name].add(step, float(value))
        chart.epochs.add(values.get("epoch"), values.get("loss"))
        self._metrics += 1
        every = OFTEN if self._metrics <= SOON else SELDOM
        return self._look("metric", HELD) if self._metrics % every == 0 else []

    def evaluation(self, step: int, values: Mapping[str, Any]) -> list[Finding]:
        """Take in what an evaluation measured, by its names without eval_; what is to be said now."""
        numbers = {
            name: float(value) for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        self.chart.step = step
        self.chart.evaluations.append((step, numbers))
        return self._look("evaluation", 1)

    def take(self, event: Event) -> list[Finding]:
        """Take in a metric or an evaluation as an event; what is to be said now."""
        if event.kind == "metric":
            return self.metric(event.step or 0, event.measured)
        return self.evaluation(event.step or 0, evaluated(event))

    def _look(self, at: str, held: int) -> list[Finding]:
        found = []
        for rule in self._rules[at]:
            finding = rule(self.case, self.chart)
            name = rule.__name__
            self._standing[name] = self._standing.get(name, 0) + 1 if finding else 0
            if finding and self._standing[name] >= held and finding.name not in self.told and name not in self._spoken:
                self.told.add(finding.name)
                self._spoken.add(name)
                found.append(finding)
        return found


Read = Callable[[], Iterable[Event]]
"""Reads a run's events from the first on; a long run's don't fit into memory, so they are read twice."""


def examine(case: Case, read: Read) -> list[tuple[int, Finding]]:
    """What a whole run shows, with the step at which it showed: where an attempt repeats steps, the newest counts."""
    doctor, found = Doctor(case), []
    for event in newest(read):
        found += [(event.step or 0, finding) for finding in doctor.take(event)]
    return found


def newest(read: Read) -> Iterator[Event]:
    """Metrics and evaluations in the order of their steps, without those that a later attempt made again."""
    begins: dict[int, int] = {}
    for event in read():
        if event.kind in TOLD and event.step is not None:
            begins[event.attempt] = min(event.step, begins.get(event.attempt, event.step))
    for event in read():
        if event.kind in TOLD and event.step is not None:
            later = (step for attempt, step in begins.items() if attempt > event.attempt)
            if event.step < min(later, default=event.step + 1):
                yield event


def evaluated(event: Event) -> dict[str, Any]:
    """An evaluation's values by their names without eval_."""
    return {name.removeprefix("eval_"): value for name, value in event.measured.items() if name.startswith("eval_")}
