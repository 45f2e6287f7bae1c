"""Ranges of layers as a person writes them: "0-7", "last 4", "first 2, 10, 12-15"; numbers count from 0."""

from __future__ import annotations

import re

from ftui.errors import BadInput

Range = tuple[str, int, int]
"""("from", first, last), both included; ("first", how many, 0) or ("last", how many, 0)."""


def ranges(text: str) -> tuple[Range, ...]:
    """The parts of `text`, whatever the depth of the model; BadInput for what is no range of layers."""
    found: list[Range] = []
    for part in text.split(","):
        if match := re.fullmatch(r"\s*(first|last)\s+(\d+)\s*", part):
            found.append((match[1], int(match[2]), 0))
        elif match := re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part):
            found.append(("from", int(match[1]), int(match[2] or match[1])))
        else:
            raise BadInput(f"{part.strip()!r} names no layers.", "Write 0-7, or last 4, or first 2, 10, 12-15.")
        kind, low, high = found[-1]
        if (high < low) if kind == "from" else not low:
            raise BadInput(f"{part.strip()!r} names no layers.", "Write the lower number first, as in 0-7.")
    return tuple(found)


def chosen_layers(text: str, depth: int) -> tuple[int, ...]:
    """The numbers of the layers that `text` names in a model of `depth` layers, in order, each once.

    Raises BadInput where one of them isn't there.
    """
    return tuple(sorted(set(stacked_layers(text, depth))))


def stacked_layers(text: str, depth: int) -> tuple[int, ...]:
    """As `chosen_layers`, but in the order in which they are written, and as often: a new stack of the old layers."""
    named: list[int] = []
    for kind, low, high in ranges(text):
        first, last = {"first": (0, low - 1), "last": (depth - low, depth - 1), "from": (low, high)}[kind]
        if first < 0 or last >= depth:
            raise BadInput(
                f"{text!r} asks for layers that the model doesn't have.",
                f"It has {depth}: write numbers from 0 to {depth - 1}.",
            )
        named += range(first, last + 1)
    return tuple(named)
