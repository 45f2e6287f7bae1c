"""What a length distribution says about a micro-batch: its longest row, its expected longest row, what a cut costs."""

from __future__ import annotations

from functools import lru_cache

from ftui.data.document import DataProfile, Lengths
from ftui.methods import OBJECTIVES
from ftui.recipe.document import Objective


def read_lengths(profile: DataProfile | None, objective: str) -> Lengths | None:
    """The lengths that `objective` reads of the rows: of their prompts alone where the model writes the answers."""
    if profile is None:
        return None
    whole = OBJECTIVES[objective].form != "prompt" or profile.prompts is None
    return profile.lengths if whole else profile.prompts


def read_profile(profile: DataProfile | None, objective: Objective) -> DataProfile | None:
    """`profile` with the lengths of what `objective` reads of its rows, as in `read_lengths`.

    A distillation that writes a share of the answers itself is taken to write all: the others are read with the row.
    """
    if profile is None or profile.prompts is None:
        return profile
    writes = OBJECTIVES[objective.kind].form == "prompt" or getattr(objective, "on_policy", 0) > 0
    return profile.model_copy(update={"lengths": profile.prompts}) if writes else profile


def peak_length(profile: DataProfile | None, max_length: int) -> int:
    """Tokens of the longest row after the cut; without a profile, rows are taken to fill the sequence length."""
    if profile is None or profile.lengths is None:
        return max_length
    return max(1, min(max_length, profile.lengths.max))


def mean_length(profile: DataProfile | None, max_length: int) -> float:
    """Mean tokens of a row after the cut at `max_length`."""
    return expected_longest(profile, max_length, 1)


def expected_longest(profile: DataProfile | None, max_length: int, rows: int, power: int = 1) -> float:
    """The mean over micro-batches of `rows` random rows of their longest: what a padded row costs, in tokens.

    From the histogram: the sum over its bins of the chance that the longest of `rows` draws falls there, times the
    bin's middle, each cut at `max_length`; with `power` 2 the mean of its square.
    """
    if profile is None or profile.lengths is None:
        return float(max_length) ** power
    lengths = profile.lengths
    if not any(lengths.histogram):
        return float(min(max_length, max(lengths.mean, 1.0))) ** power
    return _expected_longest(lengths.edges, lengths.histogram, lengths.max, max_length, rows, power)


@lru_cache(maxsize=1024)
def _expected_longest(
    edges: tuple[int, ...], histogram: tuple[int, ...], longest: int, max_length: int, rows: int, power: int
) -> float:
    total = sum(histogram)
    expected, below, seen = 0.0, 0.0, 0
    for low, high, count in zip(edges, edges[1:], histogram, strict=False):
        if not count:
            continue
        seen += count
        upto = (seen / total) ** rows
        middle = (low + min(high, longest + 1) - 1) / 2
        expected += (upto - below) * min(max(middle, low), max_length) ** power
        below = upto
    return max(expected, 1.0)


@lru_cache(maxsize=256)
def cut(lengths: Lengths, length: int) -> tuple[float, float]:
    """The share of rows longer than `length`, and the share of all tokens that cutting them loses."""
    if length >= lengths.max or not any(lengths.histogram):
        return 0.0, 0.0
    lost = kept = 0.0
    for low, high, count in zip(lengths.edges, lengths.edges[1:], lengths.histogram, strict=False):
        middle = (low + min(high, lengths.max + 1) - 1) / 2
        kept += count * middle
        lost += count * max(0.0, middle - length)
    return lengths.share_over(length), lost / kept if kept else 0.0
