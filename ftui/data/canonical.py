"""Canonical rows: the kinds that every format is turned into, and what can be said of one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ftui.data.document import RowKind
from ftui.data.encoding import broken_text

Message = dict[str, Any]
"""{"role": "system" | "user" | "assistant" | "tool", "content": str}; "tool_calls" (see `calls`) where it has them."""


class RowError(ValueError):
    """Why one row can't be turned into a canonical one; it becomes a BadRow."""


@dataclass(frozen=True, slots=True)
class Row:
    """One canonical row and where it comes from.  `value` is as `RowKind` says; "tools" may stand beside messages."""

    source: str
    line: int
    kind: RowKind
    value: dict[str, Any]
    key: int
    """64 bits of a hash of the value: equal rows have equal keys."""
    order: float = 0.0
    """Its place in a curriculum by a column of the file; 0 without one."""
    task: str | None = None
    """The task that it belongs to, where its source names any."""
    by: str | float | None = None
    """What it is held out by, where that is a column of the file: a name, or a time in seconds."""
    topic: str | None = None
    """What it is about, where a column of the file says so."""

    @property
    def is_empty(self) -> bool:
        """Whether what would be trained is blank."""
        return not any(text.strip() for text in _answers(self.kind, self.value))


def make_row(
    source: str, line: int, kind: RowKind, value: dict[str, Any], order: float = 0.0, task: str | None = None,
    by: str | float | None = None,
) -> Row:
    """Raises RowError where the value holds something that is no Unicode text."""
    try:
        # Rows that are the same but for their task are no copies: each task has to learn its own.
        packed = "\x1f".join((*_parts(value), *(() if task is None else ("task", task)))).encode()
    except UnicodeEncodeError:
        raise RowError(next(filter(None, map(broken_text, texts_of(value))), "not Unicode text")) from None
    except (TypeError, ValueError) as error:
        # Parquet may hold dates, decimals and bytes where a template would see them.
        raise RowError(f"holds a value that is no JSON: {error}") from None
    key = int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big")
    return Row(source, line, kind, value, key, order, task, by)


def messages_of(row: Row) -> list[Message]:
    """All turns of a row in order; a preference counts with its chosen answer, plain text has none."""
    value = row.value
    if row.kind == "conversation":
        return list(value["messages"])
    if row.kind == "preference":
        return [*value["prompt"], *value["chosen"]]
    if row.kind == "labelled":
        return [*value["prompt"], *value["completion"]]
    return list(value["prompt"]) if row.kind == "prompt" else []


def text_of(row: Row) -> str:
    """The row's words without any template: for languages, and for sizes where there is no tokenizer."""
    if row.kind in ("text", "class"):
        return str(row.value["text"])
    return "\n".join(str(message.get("content") or "") for message in messages_of(row))


def words_of(row: Row) -> str:
    """What tells a row from others: its turns without the system's, which many rows share; both answers of a pair."""
    if row.kind in ("text", "class"):
        return text_of(row)
    turns = messages_of(row) + (list(row.value["rejected"]) if row.kind == "preference" else [])
    return "\n".join(str(turn.get("content") or "") for turn in turns if turn["role"] != "system")


def asked_and_answered(row: Row) -> tuple[str, str] | None:
    """The turns before a conversation's first answer, with its task, and that answer; None for other rows."""
    if row.kind != "conversation":
        return None
    turns = row.value["messages"]
    first = next((index for index, turn in enumerate(turns) if turn["role"] == "assistant"), None)
    if first is None:
        return None
    asked = [row.task or "", *(f"{turn['role']}\x1f{turn['content']}" for turn in turns[:first])]
    return "\x1f".join(asked), str(turns[first]["content"])


def answers_of(row: Row) -> Iterator[str]:
    """What the row would have the model say."""
    if row.kind == "text":
        yield row.value["text"]
    for turn in messages_of(row):
        if turn["role"] == "assistant":
            yield str(turn.get("content") or "")


def contents_of(row: Row) -> Iterator[str]:
    """Every text of the row that repairs may change."""
    if "text" in row.value:
        yield row.value["text"]
    for name in TURNS:
        for turn in row.value.get(name, ()):
            if isinstance(turn.get("content"), str):
                yield turn["content"]


def blank_turn(row: Row) -> str | None:
    """Which turn holds nothing but white space, and calls nothing; an empty system turn says as much as none."""
    for name in TURNS:
        for number, turn in enumerate(row.value.get(name, ()), 1):
            blank = not str(turn.get("content") or "").strip() and not turn.get("tool_calls")
            if blank and turn["role"] != "system":
                return f"turn {number} of {name}, the {turn['role']}'s, is empty"
    return None


def texts_of(value: Any) -> Iterator[str]:
    """Every text inside a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)


TURNS = ("messages", "prompt", "chosen", "rejected", "completion")
"""The names under which a value holds turns."""


def _parts(value: dict[str, Any]) -> Iterator[str]:
    """All that tells one value from another, as texts; JSON is made only of what needs it, for speed."""
    for name, item in value.items():
        yield name
        if isinstance(item, str):
            yield item
        elif isinstance(item, list) and name in TURNS:
            for message in item:
                yield message["role"]
                yield message["content"]
                if "tool_calls" in message:
                    yield json.dumps(message["tool_calls"], ensure_ascii=False)
        else:
            yield json.dumps(item, ensure_ascii=False)


def _answers(kind: RowKind, value: dict[str, Any]) -> Iterator[str]:
    if kind in ("text", "class"):
        yield value["text"]
        return
    if kind == "prompt":
        yield from (str(message["content"]) for message in value["prompt"])
        return
    turns = {
        "conversation": lambda: value["messages"],
        "preference": lambda: [*value["chosen"], *value["rejected"]],
        "labelled": lambda: value["completion"],
    }[kind]()
    for message in turns:
        if message["role"] == "assistant":
            yield message["content"] or ("calls" if message.get("tool_calls") else "")
