"""A histogram in one row of block characters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"


def row(counts: Sequence[int], width: int) -> str:
    """`counts` as one character each, at most `width` of them; a count above zero is never blank."""
    if not counts or width < 1:
        return ""
    per = -(-len(counts) // width)
    bins = [sum(counts[at : at + per]) for at in range(0, len(counts), per)]
    top = max(bins) or 1
    return "".join(BLOCKS[0 if not each else max(1, round(each / top * (len(BLOCKS) - 1)))] for each in bins)
