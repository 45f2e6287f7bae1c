"""Which rows are held out for validation: never a row on one side and its copy, or its group's rest, on the other.

All of it follows from the rows' content, the seed and the column that is named, never from the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable

from ftui.data.hold_out import HoldOut
from ftui.data.pile import Pile
from ftui.errors import BadInput

Sides = tuple[list[int], list[int]]
"""Rows to train on, and rows that are held out."""


def split(pile: Pile, wanted: float | int, seed: int, by: HoldOut | None = None) -> Sides:
    """Hold out a share or a number of rows: those of the lowest keys, with the same share of each label, or of each
    value of a column; whole groups; or the newest rows.  Never all of them."""
    rows = len(pile.pieces)
    if isinstance(wanted, int):
        count = wanted
        if count >= rows:
            raise BadInput(
                f"data.validation asks for {count} rows, but there are only {rows}.", "Lower it, or give a share: 0.05."
            )
    else:
        count = min(max(1, round(wanted * rows)), rows - 1) if wanted else 0
    if count <= 0:
        return list(range(rows)), []
    if by is None or by.kind == "stratified":
        held_out = _stratified(pile, _strata(pile, by), count)
    elif by.kind == "group":
        held_out = _whole_groups(pile, count, seed, by.column)
    else:
        held_out = _newest(pile, count)
    return [row for row in range(rows) if row not in held_out], sorted(held_out)


def _strata(pile: Pile, by: HoldOut | None) -> list[list[int]]:
    """Rows by their value of the column, or by their label, or all of them together."""
    groups: dict[str, list[int]] = {}
    if by is not None:
        values: dict[int, str] = {}
        for key, value in zip(pile.keys, map(str, pile.by), strict=True):
            # Copies that differ in the column alone go together.
            values[key] = min(value, values.get(key, value))
        for row, key in enumerate(pile.keys):
            groups.setdefault(values[key], []).append(row)
        return [groups[value] for value in sorted(groups)]
    if pile.form != "class":
        return [list(range(len(pile.pieces)))]
    labels: list[list[str]] = [pile.beside[first]["labels"] for first, _ in pile.pieces]
    counts = Counter(label for own in labels for label in own)
    for row, own in enumerate(labels):
        # One with several labels belongs to the rarest of them.
        groups.setdefault(min(own, key=lambda label: (counts[label], label), default=""), []).append(row)
    return list(groups.values())


def _stratified(pile: Pile, groups: list[list[int]], count: int) -> set[int]:
    """The lowest keys of each group; of all rows together where every group is too small to give any away."""
    shares = _shares(groups, count)
    if not any(shares):
        return _lowest(pile, [row for group in groups for row in group], count)
    return {row for group, share in zip(groups, shares, strict=True) for row in _lowest(pile, group, share)}


def _shares(groups: list[list[int]], count: int) -> list[int]:
    """How many of each group are held out, `count` in all where that leaves each of them a row: whole parts first, then
    to those that lack the most."""
    rows = sum(map(len, groups))
    exact = [count * len(group) / rows for group in groups]
    shares = [int(share) for share in exact]
    lacking = sorted(range(len(groups)), key=lambda index: (shares[index] - exact[index], -len(groups[index]), index))
    for index in lacking[: count - sum(shares)]:
        shares[index] += 1
    return [min(share, len(group) - 1) for share, group in zip(shares, groups, strict=True)]


def _lowest(pile: Pile, rows: list[int], count: int) -> set[int]:
    """The `count` of `rows` with the lowest keys and those that are copies of them, but never all."""
    if count <= 0:
        return set()
    order = sorted(rows, key=lambda row: (pile.keys[row], row))
    last = pile.keys[order[count - 1]]
    held_out = {row for row in order if pile.keys[row] <= last}
    if len(held_out) == len(rows):
        # All the rows that would be left are copies of held-out ones.
        held_out = {row for row in order if pile.keys[row] < last}
    return held_out


def _whole_groups(pile: Pile, count: int, seed: int, column: str) -> set[int]:
    """Groups in an order that follows from their names and the seed, as many as come nearest to `count` rows."""
    groups = sorted(_joined(pile).items(), key=lambda group: (_place(group[0], seed), group[0]))
    if len(groups) < 2:
        raise BadInput(
            f"All rows belong together by their column {column}, so none can be held out.",
            "Hold out by another column (data.hold_out), or at random.",
        )
    held_out: list[int] = []
    for _, rows in groups[:-1]:
        if held_out and abs(len(held_out) + len(rows) - count) > abs(len(held_out) - count):
            break
        held_out += rows
        if len(held_out) >= count:
            break
    return set(held_out)


def _joined(pile: Pile) -> dict[str, list[int]]:
    """Group's name -> its rows; groups that share a row's copy are one, under the first of their names."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    owner: dict[int, str] = {}
    for row, key in enumerate(pile.keys):
        ours, theirs = sorted((find(str(pile.by[row])), find(owner.setdefault(key, str(pile.by[row])))))
        leader[theirs] = ours
    groups: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(pile.by):
        groups[find(str(name))].append(row)
    return groups


def _newest(pile: Pile, count: int) -> set[int]:
    """The last `count` rows by time and those of the same time, but never all; copies are as old as the oldest."""
    times = _times(pile)
    order = sorted(range(len(times)), key=lambda row: -times[row])
    since = times[order[count - 1]]
    held_out = {row for row in order if times[row] >= since}
    if len(held_out) == len(times):
        held_out = {row for row in order if times[row] > since}
    if not held_out:
        raise BadInput(
            "All rows are of the same time, so none is newer than the others.",
            "Hold out by another column (data.hold_out), or at random.",
        )
    return held_out


def _times(pile: Pile) -> list[float]:
    oldest: dict[int, float] = {}
    for key, moment in zip(pile.keys, _numbers(pile.by), strict=True):
        oldest[key] = min(moment, oldest.get(key, moment))
    return [oldest[key] for key in pile.keys]


def _numbers(values: Iterable[str | float | None]) -> Iterable[float]:
    return (value if isinstance(value, float) else 0.0 for value in values)


def _place(name: str, seed: int) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=f"{seed}".encode()).digest()
