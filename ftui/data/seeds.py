"""What new rows are made from: the prompts of a file, or its questions with the answers that it gives to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ftui.data.canonical import Message, Row, RowError, text_of
from ftui.data.forms import as_conversation, question
from ftui.data.given import Given
from ftui.data.loading import load


@dataclass(frozen=True)
class Seed:
    """The turns up to where the assistant is to answer, and the answer that the data gives, where that counts.

    `line` is the row's place in its file, `key` its own (see `Row`); `beside` holds its tools, where it has any.
    """

    line: int
    key: int
    turns: list[Message]
    answer: str = ""
    beside: dict[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """The index of the user's last turn."""
        return max(index for index, turn in enumerate(self.turns) if turn["role"] == "user")

    @property
    def text(self) -> str:
        """The user's last turn."""
        return str(self.turns[self.asked]["content"])


def prompts_of(path: str, limit: int | None) -> tuple[list[Seed], int]:
    """Every row's prompt, without an answer; and how many rows have none.  A plain text is a question."""
    return _read(path, limit, _prompt)


def answered_of(path: str, limit: int | None = None) -> tuple[list[Seed], int]:
    """Every row's question and its answer, which is text alone; and how many rows don't have both.

    Of a preference it is the better answer; a label is the answer to its text.
    """
    return _read(path, limit, _answered)


def _read(path: str, limit: int | None, seed: Callable[[Row], Seed]) -> tuple[list[Seed], int]:
    seeds: list[Seed] = []
    unusable = 0
    for row in load(Given(path, limit=limit)).rows():
        try:
            if not isinstance(row, Row):
                raise RowError(row.reason)
            found = seed(row)
            if not any(str(turn["content"]).strip() for turn in found.turns if turn["role"] == "user"):
                raise RowError("the prompt is empty")
        except RowError:
            unusable += 1
        else:
            seeds.append(found)
    return seeds, unusable


def _prompt(row: Row) -> Seed:
    if row.kind in ("text", "class"):
        return Seed(row.line, row.key, [{"role": "user", "content": text_of(row)}])
    return Seed(row.line, row.key, question(row)[0])


def _answered(row: Row) -> Seed:
    if "images" in row.value:
        raise RowError("it has images, whose places in the text would be lost")
    turns, answer = question(as_conversation(row) if row.kind == "class" else row)
    if answer is None or not answer.strip():
        raise RowError("it has no answer")
    seed = Seed(row.line, row.key, turns, answer, {"tools": row.value["tools"]} if "tools" in row.value else {})
    if not any(turn["role"] == "user" for turn in turns) or not seed.text.strip():
        raise RowError("the user's turn is empty")
    return seed
