"""Two answers of which one is better -> a pair: told apart by their columns, or by a column that says which won."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftui.data.canonical import Message, RowError
from ftui.data.parts import Columns, margin_in, needs_answer, system_turn, tools_in, turns_of, value_in
from ftui.data.transcripts import is_transcript, turns_in

_SIDES = ("chosen", "rejected")
_TIES = ("tie", "tie (bothbad)", "both", "neither", "bothbad", "-1", "none")


def preference(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A better and a worse answer; the prompt is a column of its own or what both conversations begin with.

    Whole transcripts (HH-RLHF) are taken apart into their turns. A margin says by how much the chosen one is better,
    for a reward model; where each answer has a score, it is their difference.
    """
    chosen, rejected = (_side(value_in(row, columns, part), "assistant", columns[part]) for part in _SIDES)
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    prompt: list[Message] = []
    if "prompt" in columns and row.get(columns["prompt"]) is not None:
        prompt = _side(value_in(row, columns, "prompt"), "user", columns["prompt"])
    if not prompt or chosen[: len(prompt)] == prompt:
        prompt = chosen[:shared]
    chosen, rejected = chosen[shared:], rejected[shared:]
    needs_answer(chosen)
    needs_answer(rejected)
    if chosen == rejected:
        raise RowError("chosen and rejected are the same")
    return {"prompt": [*system_turn(row, columns, prompt), *prompt], "chosen": chosen, "rejected": rejected,
            **margin_in(row, columns), **tools_in(row, columns)}  # fmt: skip


def safe_rlhf(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """PKU-SafeRLHF: two answers numbered 0 and 1, and the number of the better one, or of the safer one."""
    return _decided(row, columns, {"0": "first", "1": "second"})


def shp(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Stanford Human Preferences: comments A and B to a post; the label is 1 where A is preferred, 0 where B is.

    Their scores are votes, which say nothing about by how much one is better.
    """
    return _decided(row, columns, {"1": "first", "0": "second"})


def arena(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Chatbot Arena: two models' whole conversations that begin alike, and which of them won."""
    return _decided(row, columns, {"model_a": "first", "a": "first", "model_b": "second", "b": "second"})


def _decided(row: Mapping[str, Any], columns: Columns, verdicts: Mapping[str, str]) -> dict[str, Any]:
    """The pair of a row whose winner is the part that its verdict leads to."""
    said = str(value_in(row, columns, "winner")).strip().lower().removesuffix(".0")
    if said in _TIES:
        raise RowError("neither answer won")
    if (better := verdicts.get(said)) is None:
        raise RowError(f"column {columns['winner']!r} holds {said[:40]!r} where one of {', '.join(verdicts)} should be")
    worse = "second" if better == "first" else "first"
    return preference(row, {**columns, "chosen": columns[better], "rejected": columns[worse]})


def _side(value: Any, role: str, column: str) -> list[Message]:
    return turns_in(value) if isinstance(value, str) and is_transcript(value) else turns_of(value, role, column)
