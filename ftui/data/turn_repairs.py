"""Turns put into an order that strict templates take: many know no system turn, and want user and assistant in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftui.data.canonical import TURNS, Message

Rewrite = Callable[[Mapping[str, Any]], dict[str, Any]]
"""The value of a canonical row -> the value to train on in its place."""

_QUESTIONS = ("messages", "prompt")
"""The names under which a value's turns begin a conversation."""


def fold_system(value: Mapping[str, Any]) -> dict[str, Any]:
    """The system turn before the words of the first question."""
    return _each(value, _QUESTIONS, _folded)


def begin_with_user(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the assistant says before the user has said anything, but for a row that is nothing else."""
    return _each(value, _QUESTIONS, _begun)


def merge_turns(value: Mapping[str, Any]) -> dict[str, Any]:
    """Several turns of the user, or of the assistant, in a row as one."""
    return _each(value, TURNS, _merged)


def _each(value: Mapping[str, Any], names: tuple[str, ...], change: Callable[[list[Message]], list[Message]]) -> Any:
    return {name: change(list(part)) if name in names else part for name, part in value.items()}


def _folded(turns: list[Message]) -> list[Message]:
    system = "\n\n".join(str(turn["content"]) for turn in turns if turn["role"] == "system")
    others = [turn for turn in turns if turn["role"] != "system"]
    first = next((index for index, turn in enumerate(others) if turn["role"] == "user"), None)
    if not system.strip() or first is None:
        # An empty system turn says as much as none.
        return others if not system.strip() else [{"role": "user", "content": system}, *others]
    asked = {**others[first], "content": f"{system}\n\n{others[first]['content']}"}
    return [*others[:first], asked, *others[first + 1 :]]


def _begun(turns: list[Message]) -> list[Message]:
    first = next((index for index, turn in enumerate(turns) if turn["role"] == "user"), None)
    if first is None:
        return turns
    return [turn for index, turn in enumerate(turns) if index >= first or turn["role"] == "system"]


def _merged(turns: list[Message]) -> list[Message]:
    merged: list[Message] = []
    for turn in turns:
        if not merged or merged[-1]["role"] != turn["role"] or turn["role"] == "tool":
            merged.append(dict(turn))
            continue
        last = merged[-1]
        last["content"] = "\n\n".join(filter(None, (str(last["content"]), str(turn["content"]))))
        if calls := [*last.get("tool_calls", ()), *turn.get("tool_calls", ())]:
            last["tool_calls"] = calls
    return merged
