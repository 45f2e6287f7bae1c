"""Up to eight runs beside each other: what differs in their recipes, what came of it, and their curves on one axis."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ftui.errors import BadInput, FtuiError
from ftui.recipe import differences
from ftui.recipe.document import Recipe
from ftui.runs.alignment import Axis, Places
from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import PIECE_BYTES, Curves, Follower, Series
from ftui.runs.index_pages import PageFile
from ftui.runs.stretch import Stretch
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
    """One run of a comparison, fed piece by piece: its curves by its own steps, and what came of it.

    Curves named in `without` aren't kept; with a file most of the numbers will lie there.
    """

    def __init__(self, run: Run, without: Collection[str] = (), file: PageFile | None = None) -> None:
        self.run = run
        self.curves = Curves(without, file)
        self.places = Places(file)
        self.judged_by = "loss"
        """The value whose evaluation says which one is best."""
        self.best: tuple[int, float] | None = None
        """Step and value of the best evaluation, as the run itself told it."""
        self.taken = 0
        """Grows with all that is taken in."""
        self._peaks: dict[str, tuple[int, float]] = {}
        """Of a curve how many points were looked at, and the largest."""

    def take(self, found: Iterable[Event | Stretch]) -> None:
        """Fold what a follower found in, in its order."""
        for one in found:
            self.taken += 1
            if isinstance(one, Stretch):
                self.curves.add_stretch(one)
                self.places.add_stretch(one)
                continue
            self.curves.add(one)
            self.places.add(one)
            if one.kind == "evaluation":
                self._judge(one)

    def _judge(self, event: Event) -> None:
        if isinstance(judged := event.data.get("judged_by"), str):
            self.judged_by = judged
        value = event.measured.get(f"eval_{self.judged_by}")
        number = isinstance(value, int | float) and math.isfinite(value)
        if event.data.get("best") and event.step is not None and number:
            self.best = event.step, float(value)  # type: ignore[arg-type]

    @property
    def facts(self) -> dict[str, float | None]:
        """best (of what it is judged by), at (its step), loss (the median of the last 20), tokens_per_second (the
        median of the last 500: what it does now), peak_bytes, seconds (of training), steps."""
        curves, seconds = self.curves, self.places.seconds
        peak = self._peak("gpu_reserved_bytes")
        return {
            "best": self.best[1] if self.best else None,
            "at": self.best[0] if self.best else None,
            "loss": _of(median, curves.get("loss", Series()).values[-20:]),
            "tokens_per_second": _of(median, curves.get("tokens_per_second", Series()).values[-500:]),
            "peak_bytes": self._peak("rss_bytes") if peak is None else peak,
            "seconds": seconds[-1] if len(seconds) > 1 else None,
            "steps": self.places.steps[-1] if len(self.places.steps) else None,
        }

    def _peak(self, name: str) -> float | None:
        """The largest value of all attempts so far, in time for the new points only."""
        values = self.curves.get(name, Series()).values
        seen, largest = self._peaks.get(name, (0, -math.inf))
        # A resume takes points back; what stands in their place is looked at as it comes.
        new = [value for value in values[min(seen, len(values)) :] if math.isfinite(value)]
        self._peaks[name] = len(values), max([largest, *new])
        return self._peaks[name][1] if math.isfinite(self._peaks[name][1]) else None

    def placed(self, name: str, axis: Axis) -> tuple[list[float], Sequence[float]]:
        """A curve's places on the axis and its values there (NaN is a gap); empty where nothing tells the places."""
        series = self.curves.get(name, Series())
        places = self.places.of(series.steps, axis)
        return places, series.values if places else []


def read_side(run: Run) -> Side:
    """All that a run has written so far."""
    side, follower = Side(run), Follower(run)
    while True:
        side.take(follower.take(PIECE_BYTES))
        if not follower.behind:
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


def not_measured(name: str, sides: Sequence[Side]) -> BadInput:
    """The error for a curve that none of these runs has: it says which there are."""
    known = sorted(set().union(*(side.curves for side in sides)))
    which = "None of these runs has" if len(sides) > 1 else f"{sides[0].run.id} hasn't"
    have = f"There are {', '.join(known)}." if known else "Nothing was measured yet."
    return BadInput(f"{which} measured {name}.", have)


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
