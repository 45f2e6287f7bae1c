"""A reasoning model's thoughts: rows carry them before the answer between <think> and </think>, whatever a file calls
them, and a template that has a part of its own for them is given them as that."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ftui.data.canonical import Message

COLUMNS = ("reasoning_content", "reasoning", "thinking")
"""The names that thoughts have in a turn, or in a column beside the answer."""

_THOUGHT = re.compile(r"\s*<think>\n?(?P<thoughts>.*?)\n?</think>\s*(?P<answer>.*)", re.DOTALL)
_PART = re.compile(
    r"""\b(?:message|msg|m|turn)(?:\.|\[['"]|\.get\(['"])(?P<name>reasoning_content|reasoning|thinking)\b"""
)


def with_thoughts(thoughts: str, answer: str) -> str:
    """An answer as reasoning models write it."""
    return f"<think>\n{thoughts.strip()}\n</think>\n\n{answer.lstrip()}"


def part_in(source: str) -> str | None:
    """Under which name a template takes thoughts as a part of their own; None where it knows none."""
    found = _PART.search(source)
    return found["name"] if found else None


def apart(messages: Sequence[Message], name: str) -> list[Message]:
    """The same turns, each assistant's with its thoughts under `name` and without them in its words."""
    return [_apart(message, name) if message["role"] == "assistant" else message for message in messages]


def _apart(message: Message, name: str) -> Message:
    found = _THOUGHT.fullmatch(str(message["content"] or ""))
    if not found or not found["thoughts"].strip():
        # An empty pair of marks is how templates write that nothing was thought.
        return message
    return {**message, "content": found["answer"], name: found["thoughts"].strip()}
