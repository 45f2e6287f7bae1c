"""How often each source's rows stand in an epoch, and in which order: weights, balance, replay, curriculum."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ftui.data.given import SourceLike
from ftui.data.pile import Pile
from ftui.errors import BadInput


def mixed(training: list[int], pile: Pile, sources: Sequence[SourceLike], balance: float, seed: int) -> list[int]:
    """The rows of an epoch: each source's taken by its weight, the new ones evened out, and the old ones' share.

    `balance` b makes a source of n rows count like n^(1 - b), while the number of all new rows stays.  The sources
    with `replay` are drawn from so often that they make up that share of the whole.
    """
    if not balance and all(source.weight == 1 and not source.replay for source in sources):
        return training
    chooser = random.Random(seed)
    by_source: dict[int, list[int]] = {}
    for row in training:
        by_source.setdefault(pile.sources[row], []).append(row)
    wanted = _counts({number: len(rows) for number, rows in by_source.items()}, sources, balance)
    chosen: list[int] = []
    for number, rows in sorted(by_source.items()):
        whole, part = divmod(wanted[number], len(rows))
        chosen += rows * whole + sorted(chooser.sample(rows, part))
    if not chosen:
        raise BadInput("The weights of the sources leave no row.", "Raise data.sources' weight.")
    return chosen


def _counts(rows: dict[int, int], sources: Sequence[SourceLike], balance: float) -> dict[int, int]:
    """How many rows of an epoch come from each source."""
    counts = {
        number: _weighed(count, sources[number].weight) for number, count in rows.items() if not sources[number].replay
    }
    if balance:
        total, evened = sum(counts.values()), {number: count ** (1 - balance) for number, count in counts.items()}
        counts = {number: round(total * share / sum(evened.values())) for number, share in evened.items()}
    replayed = {number: sources[number].replay for number in rows if sources[number].replay}
    every = sum(counts.values()) / (1 - sum(replayed.values())) if replayed else 0
    return counts | {number: max(1, round(share * every)) for number, share in replayed.items()}


def _weighed(count: int, weight: float) -> int:
    """Whole repeats, and of a fraction a part of the rows."""
    return count * int(weight) + round(weight % 1 * count)


def column_of(curriculum: str | None) -> str | None:
    """The column by which `curriculum` orders, None where it orders by something else or not at all."""
    return curriculum.removeprefix("column:").strip() if curriculum and curriculum.startswith("column:") else None


def ordered(rows: list[int], pile: Pile, curriculum: str | None) -> list[int]:
    """`rows` from the first to learn to the last: by their tokens, their source's place, or their column's number;
    equals stay in their order."""
    if curriculum is None:
        return rows
    if curriculum == "length":
        return sorted(rows, key=lambda row: sum(map(pile.store.length, range(*pile.pieces[row]))))
    if curriculum == "sources":
        return sorted(rows, key=pile.sources.__getitem__)
    return sorted(rows, key=pile.order.__getitem__)
