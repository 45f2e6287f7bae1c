"""1 where the whole answer has the wanted form, 0 elsewhere."""

from __future__ import annotations

from ftui.methods.rewards import pattern_of
from ftui.worker.rewards import Place, Score, from_text


def build(argument: str, place: Place) -> Score:
    """`argument` is a regular expression that the whole answer must match, "" for reasoning and answer in tags."""
    pattern = pattern_of(argument)
    return from_text(lambda completion: float(pattern.fullmatch(completion) is not None))
