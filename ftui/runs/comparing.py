"""Up to eight runs beside each other: what differs in their recipes, what came of it, and their curves on one axis."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ftui.errors import BadInput, FtuiError
from ftui.recipe import differences
from ftui.recipe.document import Recipe
from ftui.runs.alignment import Axis, Places
from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import Curves, Series, each
from ftui.units import clock, count, gib, plain

MOST = 8
LETTERS = "ABCDEFGH"
"""What the runs of a comparison are called, in the order given."""
FACTS: dict[str, str] = {
    "best": "best", "at": "at step", "loss": "last loss", "tokens_per_second": "tokens/s", "peak_bytes": "peak",
    "seconds": "took", "steps": "steps",
}
"""What is told of each side, and its title."""


class Side:
    """One run of a comparison, fed event by event: its curves by its own steps, and what came of it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.curves = Curves()
        self.places = Places()
        self.judged_by = "loss"
        """The value whose evaluation says which one is best."""
        self.best: tuple[int, float] | None = None
        """Step and value of the best evaluation, as the run itself told it."""
        self.taken = 0
        """How many events were taken in."""

    def take(self, events: Iterable[Event]) -> None:
        """Fold the events in, in their order."""
        for event in events:
            self.taken += 1
            self.curves.add(event)
            self.places.add(event)
            if event.kind == "evaluation":
                self._judge(event)

    def _judge(self, event: Event) -> None:
        if isinstance(judged := event.data.get("judged_by"), str):
            self.judged_by = judged
        value = event.measured.get(f"eval_{self.judged_by}")
        number = isinstance(value, int | float) and math.isfinite(value)
        if event.data.get("best") and event.step is not None and number:
            self.best = event.step, float(value)  # type: ignore[arg-type]

    @property
    def facts(self) -> dict[str, float | None]:
        """best (of what it is judged by), at (its step), loss (the median of the last 20), tokens_per_second (median),
        peak_bytes, seconds (of training), steps."""
        loss = self.curves.get("loss", Series())
        peak = self.curves.get("gpu_reserved_bytes") or self.curves.get("rss_bytes")
        seconds = self.places.seconds
        return {
            "best": self.best[1] if self.best else None,
            "at": self.best[0] if self.best else None,
            "loss": _of(median, loss.values[-20:]),
            "tokens_per_second": _of(median, self.curves.get("tokens_per_second", Series()).values),
            "peak_bytes": _of(max, peak.values) if peak else None,
            "seconds": seconds[-1] if len(seconds) > 1 else None,
            "steps": self.places.steps[-1] if self.places.steps else None,
        }

    def placed(self, name: str, axis: Axis) -> tuple[list[float], Sequence[float]]:
        """A curve's places on the axis and its values there (NaN is a gap); empty where nothing tells the places."""
        series = self.curves.get(name, Series())
        places = [self.places.at(step, axis) for step in series.steps]
        if None in places:
            return [], []
        return places, series.values  # type: ignore[return-value]  # no None is in it


def read_side(run: Run) -> Side:
    """All that a run has written so far."""
    side = Side(run)
    side.take(each(run))
    return side


@dataclass(frozen=True)
class Settings:
    """What differs between the recipes of several runs."""

    values: dict[str, tuple[Any, ...]]
    """Dotted path -> each run's value, of every setting that isn't the same in all; None for a run without a recipe."""
    notes: tuple[str, ...]
    """A sentence for each run whose recipe isn't there, or can't be read."""


@dataclass(frozen=True)
class Comparison:
    """Several runs beside each other, in the order given."""

    sides: tuple[Side, ...]
    settings: Settings

    def aligned(self, name: str, axis: Axis, points: int = 10) -> list[tuple[float, list[float | None]]]:
        """(x, each run's value there) at `points` even places of the axis; None before and after a run.

        Values between two measured ones are the earlier.
        """
        lines = [side.placed(name, axis) for side in self.sides]
        end = max((places[-1] for places, _ in lines if places), default=0.0)
        if not end:
            return []
        xs = [end * (place + 1) / points for place in range(points)]
        return [(x, [_at(places, values, x) for places, values in lines]) for x in xs]


def compare(runs: Sequence[Run]) -> Comparison:
    """The comparison of two to eight runs, each once.  Raises BadInput for another number of them."""
    check_number(runs)
    return Comparison(tuple(map(read_side, runs)), differing(runs))


def check_number(runs: Sequence[Run], least: int = 2) -> None:
    """Raises BadInput unless these are from `least` to eight different runs."""
    if not least <= len(runs) <= MOST:
        raise BadInput(f"{len(runs)} runs can't be compared.", f"Name from {least} to {MOST} of them.")
    if twice := next((run for place, run in enumerate(runs) if run in runs[:place]), None):
        raise BadInput(f"{twice.id} is named twice.", "Name each run once.")


def differing(runs: Sequence[Run]) -> Settings:
    """The settings in which the recipes of these runs differ, their names aside."""
    recipes: list[Recipe | None] = []
    notes = []
    for run, called in zip(runs, labels(runs), strict=True):
        recipe = None
        try:
            recipe = run.recipe()
            if recipe is None:
                notes.append(f"{called} has no recipe: it is no training but a run of kind {run.info.kind}.")
        except (FtuiError, OSError) as error:
            notes.append(f"{called}: its recipe can't be read: {str(error).splitlines()[0]}")
        recipes.append(recipe)
    known = [recipe for recipe in recipes if recipe is not None]
    found = [{one.path: one for one in differences(known[0], recipe)} for recipe in known[1:]] if known else []
    paths = dict.fromkeys(path for one in found for path in one if path != "name")
    values: dict[str, tuple[Any, ...]] = {}
    for path in sorted(paths):
        first = next(one[path].before for one in found if path in one)
        row = iter([first, *(one[path].after if path in one else first for one in found)])
        values[path] = tuple(None if recipe is None else next(row) for recipe in recipes)
    return Settings(values, tuple(notes))


def labels(runs: Sequence[Run]) -> list[str]:
    """What each run is called beside the others: its letter and its name, with the id's end where two share a name."""
    names = [run.info.name for run in runs]
    return [
        plain(f"{letter} {name}" + (f" {run.id[-4:]}" if names.count(name) > 1 else "")).replace("\n", " ")
        for letter, name, run in zip(LETTERS, names, runs, strict=False)
    ]


def colours(ids: Sequence[str]) -> list[int]:
    """A number below eight for each run, none twice: by a hash of its id, so that a run keeps its colour.

    Where two have the same, the one whose id comes first keeps it, and the other takes the next free one.
    """
    taken: dict[int, str] = {}
    for name in sorted(ids):
        start = zlib.crc32(name.encode())
        taken[next(n % MOST for n in range(start, start + MOST) if n % MOST not in taken)] = name
    numbers = {name: number for number, name in taken.items()}
    return [numbers[name] for name in ids]


def said(fact: str, value: float | None) -> str:
    """One of a side's facts in words; a value of no other fact as a number."""
    if value is None:
        return "–"
    match fact:
        case "peak_bytes":
            return gib(value)
        case "seconds":
            return clock(value)
        case "tokens_per_second":
            return count(value)
        case "at" | "steps":
            return f"{value:,.0f}"
    return f"{value:.4g}"


def told(value: Any, most: int = 28) -> str:
    """A setting's value in at most so many characters; of a longer one its end, where paths and models differ."""
    if isinstance(value, list | tuple):
        text = ", ".join(str(one.get("path", one)) if isinstance(one, dict) else str(one) for one in value)
    else:
        text = "–" if value is None else str(value)
    text = plain(text).replace("\n", " ")
    return text if len(text) <= most else f"…{text[1 - most :]}"


def _of(function: Callable[[list[float]], float], values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return function(finite) if finite else None


def _at(places: list[float], values: Sequence[float], x: float) -> float | None:
    """The value at `x`; a hundredth beyond the last point still is that point's, for axes hardly ever end together."""
    at = bisect_right(places, x) - 1
    if at < 0 or (at == len(places) - 1 and x > places[-1] * 1.01):
        return None
    return values[at] if math.isfinite(values[at]) else None
