"""Up to eight runs beside each other: what differs in their recipes, what came of it, and their curves on one axis."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from ftui.errors import BadInput, Refused
from ftui.recipe import differences
from ftui.runs.folder import Run
from ftui.runs.follow import Curves, Series, history

MOST = 8
Axis = Literal["step", "tokens", "time"]


@dataclass(frozen=True)
class Compared:
    """One run in a comparison; curves are by its own steps."""

    run: Run
    state: str
    curves: Curves
    facts: dict[str, float | None]
    """best (of what it is judged by), at (its step), loss (the median of the last 20), tokens_per_second (median),
    peak_bytes, seconds (of training), steps."""


@dataclass(frozen=True)
class Comparison:
    """Several runs beside each other, in the order given."""

    runs: tuple[Compared, ...]
    settings: dict[str, tuple[Any, ...]]
    """Dotted path -> each run's value, of every setting that isn't the same in all."""

    def aligned(self, name: str, axis: Axis, points: int = 10) -> list[tuple[float, list[float | None]]]:
        """(x, each run's value there) at `points` even places of the axis; None before and after a run.

        Values between two measured ones are the earlier; time is seconds since the run's first metric.
        """
        lines = [(_places(each.curves, name, axis), each.curves.get(name, Series())) for each in self.runs]
        end = max((places[-1] for places, _ in lines if places), default=0.0)
        if not end:
            return []
        xs = [end * (place + 1) / points for place in range(points)]
        return [(x, [_at(places, series, x) for places, series in lines]) for x in xs]


def compare(runs: Sequence[Run]) -> Comparison:
    """The comparison of two to eight trainings.  Raises Refused for a run without a recipe."""
    if not 2 <= len(runs) <= MOST:
        raise BadInput(f"{len(runs)} runs can't be compared.", f"Name from 2 to {MOST} of them.")
    recipes = []
    for run in runs:
        if (recipe := run.recipe()) is None:
            raise Refused(f"{run.id} is no training: it has no recipe to compare.", "List the runs: ftui runs")
        recipes.append(recipe)
    differing = {one.path for recipe in recipes[1:] for one in differences(recipes[0], recipe)} - {"name"}
    settings = {}
    for path in sorted(differing):
        found = [next((d for d in differences(recipes[0], recipe) if d.path == path), None) for recipe in recipes[1:]]
        first = next(one.before for one in found if one is not None)
        settings[path] = (first, *(first if one is None else one.after for one in found))
    return Comparison(tuple(_compared(run) for run in runs), settings)


def _compared(run: Run) -> Compared:
    curves = Curves()
    events = history(run)
    curves.extend(events)
    judged = next((str(event.data["judged_by"]) for event in events if "judged_by" in event.data), "loss")
    best = next((event for event in reversed(events) if event.kind == "evaluation" and event.data.get("best")), None)
    loss = curves.get("loss", Series())
    peak = curves.get("gpu_reserved_bytes") or curves.get("rss_bytes")
    facts: dict[str, float | None] = {
        "best": best.measured.get(f"eval_{judged}") if best else None,
        "at": best.step if best else None,
        "loss": _of(median, loss.values[-20:]),
        "tokens_per_second": _of(median, curves.get("tokens_per_second", Series()).values),
        "peak_bytes": _of(max, peak.values) if peak else None,
        "seconds": loss.times[-1] - loss.times[0] if len(loss) > 1 else None,
        "steps": loss.steps[-1] if len(loss) else None,
    }
    return Compared(run, run.status().state, curves, facts)


def _of(function: Callable[[list[float]], float], values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return function(finite) if finite else None


def _places(curves: Curves, name: str, axis: Axis) -> list[float]:
    """Where on the axis each value of a curve stands."""
    series = curves.get(name, Series())
    if axis == "step":
        return list(map(float, series.steps))
    if axis == "time":
        loss = curves.get("loss", series)
        return [when - loss.times[0] for when in series.times] if len(loss) else []
    tokens = curves.get("tokens", Series())
    seen = [bisect_right(tokens.steps, step) - 1 for step in series.steps]
    return [tokens.values[at] if at >= 0 else 0.0 for at in seen]


def _at(places: list[float], series: Series, x: float) -> float | None:
    """The value at `x`; a hundredth beyond the last point still is that point's, for axes hardly ever end together."""
    at = bisect_right(places, x) - 1
    if at < 0 or (at == len(places) - 1 and x > places[-1] * 1.01):
        return None
    value = series.values[at]
    return value if math.isfinite(value) else None
