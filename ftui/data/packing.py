"""Packing: several short rows in one sequence of at most `max_length` tokens, each row whole and kept apart."""

from __future__ import annotations

import bisect
from collections.abc import Sequence


def pack(lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Groups of row indexes whose lengths sum to at most `max_length`, by best-fit decreasing.

    Every row is in exactly one group (arXiv:2404.10830); groups come in the order of their first row.  Lengths must be
    1..max_length.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    rooms: list[int] = []
    open_by_room: dict[int, list[int]] = {}
    groups: list[list[int]] = []
    for index in order:
        length = lengths[index]
        if not 1 <= length <= max_length:
            raise ValueError(f"row {index} has {length} tokens; the sequence takes 1 to {max_length}")
        at = bisect.bisect_left(rooms, length)
        if at == len(rooms):
            group, room = len(groups), max_length
            groups.append([])
        else:
            room = rooms[at]
            group = open_by_room[room].pop()
            if not open_by_room[room]:
                del open_by_room[room], rooms[at]
        groups[group].append(index)
        if left := room - length:
            if left not in open_by_room:
                bisect.insort(rooms, left)
                open_by_room[left] = []
            open_by_room[left].append(group)
    for members in groups:
        members.sort()
    return sorted(groups)
