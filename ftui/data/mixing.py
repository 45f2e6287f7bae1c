"""How often each source's rows stand in an epoch, and in which order: weights, balance, replay, curriculum."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from ftui.data.given import SourceLike
from ftui.data.pile import Pile
from ftui.errors import BadInput

Group = tuple[int, int]
"""The number of a source and that of a task, which is -1 where rows name none: their rows are drawn together."""


def mixed(training: list[int], pile: Pile, sources: Sequence[SourceLike], balance: float, seed: int) -> list[int]:
    """The rows of an epoch: each source's taken by its weight, the new ones evened out, and the old ones' share.

    `balance` b makes a task of n rows count like n^(1 - b), while the number of all new rows stays; where rows name no
    task, each source is one.  The sources with `replay` are drawn from so often that they make up that share of the
    whole.
    """
    if not balance and all(source.weight == 1 and not source.replay for source in sources):
        return training
    chooser = random.Random(seed)
    groups: dict[Group, list[int]] = {}
    for row in training:
        groups.setdefault((pile.sources[row], pile.store.tasks[pile.pieces[row][0]]), []).append(row)
    wanted = _counts({group: len(rows) for group, rows in groups.items()}, sources, balance)
    chosen: list[int] = []
    for group, rows in sorted(groups.items()):
        whole, part = divmod(wanted[group], len(rows))
        chosen += rows * whole + sorted(chooser.sample(rows, part))
    if not chosen:
        raise BadInput("The weights of the sources leave no row.", "Raise data.sources' weight.")
    return chosen


def _counts(rows: dict[Group, int], sources: Sequence[SourceLike], balance: float) -> dict[Group, int]:
    """How many rows of an epoch come from each group."""
    counts = {
        (source, task): _weighed(count, sources[source].weight)
        for (source, task), count in rows.items() if not sources[source].replay
    }
    if balance:
        tasks: Counter[Group] = Counter()
        for group, count in counts.items():
            tasks[_task(group)] += count
        total, evened = tasks.total(), {task: count ** (1 - balance) for task, count in tasks.items() if count}
        factor = {task: total * share / sum(evened.values()) / tasks[task] for task, share in evened.items()}
        counts = {group: round(count * factor.get(_task(group), 0)) for group, count in counts.items()}
    old: Counter[int] = Counter()
    for (source, _), count in rows.items():
        old[source] += count if sources[source].replay else 0
    replayed = {source: sources[source].replay for source, count in old.items() if count}
    every = sum(counts.values()) / (1 - sum(replayed.values())) if replayed else 0
    return counts | {
        group: max(1, round(replayed[group[0]] * every * count / old[group[0]]))
        for group, count in rows.items() if group[0] in replayed
    }


def _task(group: Group) -> Group:
    """What counts as one task: the rows that name it, whatever their source, or a source whose rows name none."""
    return group if group[1] < 0 else (-1, group[1])


def _weighed(count: int, weight: float) -> int:
    """Whole repeats, and of a fraction a part of the rows."""
    return count * int(weight) + round(weight % 1 * count)


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
