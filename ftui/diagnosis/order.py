"""Whether the order of the rows shows in the loss: it then rises and falls at the same places in every epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ftui.diagnosis.case import Case
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.epochs import BINS
from ftui.diagnosis.finding import Finding

ALIKE = 0.85
"""Correlation of two epochs' curves; shuffled, one pair of epochs in 800 comes so near by chance."""
SWING = 0.05
"""Standard deviation of the common curve as a share of the loss: less is not worth a word."""
BETWEEN = 4.0
"""How much more the places must differ than their own losses' spread explains."""


def ordered(case: Case, chart: Chart) -> Finding | None:
    """The rows come sorted: the same rise and fall in two epochs in a row."""
    if not case.falls or len(chart.epochs.whole) < 2:
        return None
    before, after = chart.epochs.whole
    if min(len(one.values) for one in (*before, *after)) < 2:
        return None
    curves = [_straightened([one.mean for one in bins]) for bins in (before, after)]
    alike = _correlation(*curves)
    level = math.fsum(one.mean for one in after) / BINS
    swing = math.sqrt(math.fsum(value * value for value in curves[1]) / BINS)
    within = math.fsum(_variance(one.values) / len(one.values) for one in after) / BINS
    if alike < ALIKE or swing < SWING * abs(level) or swing**2 < BETWEEN * within:
        return None
    curriculum = case.recipe.data.curriculum
    return Finding(
        "row_order",
        f"The loss rises and falls at the same places in every epoch (by {swing:.3g} around {level:.3g}): the rows "
        "come in an order that the model feels" + (f", that of data.curriculum {curriculum}." if curriculum else "."),
        "Rows in a random order show each batch a bit of everything"
        + (": leave the curriculum out unless it is meant." if curriculum else ": look at how they are sampled."),
        {"correlation": round(alike, 3), "swing": swing, "loss": level, "epoch": float(chart.epochs.number)},
        {"data.curriculum": None} if curriculum else {}, "note" if curriculum else "warning",
    )


def _straightened(values: Sequence[float]) -> list[float]:
    """What is left of a curve without its parabola: the fall that any training shows over an epoch."""
    places = [index / (len(values) - 1) * 2 - 1 for index in range(len(values))]
    # Legendre's polynomials are near enough to orthogonal on equal steps; two rounds take out the rest.
    left = list(values)
    for _ in range(2):
        for shape in ([1.0] * len(places), places, [(3 * x * x - 1) / 2 for x in places]):
            weight = math.fsum(a * b for a, b in zip(left, shape, strict=True)) / math.fsum(b * b for b in shape)
            left = [value - weight * at for value, at in zip(left, shape, strict=True)]
    return left


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    across = math.sqrt(math.fsum(a * a for a in first) * math.fsum(b * b for b in second))
    return math.fsum(a * b for a, b in zip(first, second, strict=True)) / across if across else 0.0


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)


RULES = (ordered,)
