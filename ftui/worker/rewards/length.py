"""How near an answer's length comes to an aim, or by how much it exceeds a limit; in tokens."""

from __future__ import annotations

from ftui.methods.rewards import length_of
from ftui.worker.rewards import Place, Score


def build(argument: str, place: Place) -> Score:
    """`argument` is "200" for an aim, "<200" for a limit."""
    wanted, limit = length_of(argument)
    one = within if limit else near
    return lambda completions, columns: [one(int(tokens), wanted) for tokens in columns["tokens"]]


def near(tokens: int, wanted: int) -> float:
    """1 at the wanted length, falling evenly to 0 at none and at twice as many, and no further."""
    return max(0.0, 1 - abs(tokens - wanted) / wanted)


def within(tokens: int, limit: int) -> float:
    """0 up to the limit, from there falling evenly to -1 at twice as many, and no further."""
    return -min(1.0, max(0, tokens - limit) / limit)
