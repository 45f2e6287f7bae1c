"""Questions with two or more answers each, to be compared by a person: every usual shape of them.

The question stands in `prompt`, `question`, `instruction` (with its `input`) or as turns (`messages`,
`conversations`); the answers in two columns, such as `answer_a` and `answer_b`, in a list (`answers`, `responses`,
...), or in `chosen` and `rejected`, which may be whole conversations.  Of more than two answers each pair is compared.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftui.data.canonical import Message, RowError
from ftui.data.convert import FORMATS
from ftui.data.given import Given
from ftui.data.loading import find_files
from ftui.data.parts import kind_of, turns_of, unpack
from ftui.data.reading import Broken, open_file
from ftui.errors import BadInput
from ftui.units import plain

_PROMPTS = ("prompt", "question", "instruction", "query", "messages", "conversations", "conversation", "user", "input")
_LISTS = ("answers", "responses", "completions", "generations", "candidates", "outputs", "samples")
_PAIRS = (
    *((f"{name}{gap}{one}", f"{name}{gap}{two}")
      for name in ("answer", "response", "completion", "output", "generation", "text", "model")
      for gap in ("_", "") for one, two in (("a", "b"), ("1", "2"), ("0", "1"))),
    ("first", "second"), ("a", "b"), ("A", "B"), ("tuned", "base"), ("before", "after"),
)  # fmt: skip
_TEXTS = ("content", "text", "response", "answer", "completion", "output", "value")
_MOST_ANSWERS = 6
"""Of more, only so many are compared: fifteen pairs of one question are enough."""


@dataclass(frozen=True)
class Item:
    """One comparison.  `key` follows from what is compared, in the file's order."""

    key: str
    line: int
    prompt: list[Message]
    answers: tuple[list[Message], list[Message]]


@dataclass(frozen=True)
class Answers:
    """What a file holds to be compared, and how many of its rows hold nothing."""

    items: tuple[Item, ...]
    left_out: int


def read_answers(file: str, limit: int | None = None) -> Answers:
    """The comparisons of a file, up to `limit`; equal answers and repeated rows are left out.

    Raises BadInput, with the first row's reason, where there is none.
    """
    items: dict[str, Item] = {}
    left_out, why = 0, ""
    for found in map(open_file, find_files(Given(file))):
        for line, row in found.read(found.path):
            if limit is not None and len(items) >= limit:
                break
            try:
                if isinstance(row, Broken):
                    raise RowError(row)
                made = _items(line, row)
                if not made:
                    raise RowError("all its answers are the same")
            except RowError as error:
                left_out += 1
                why = why or f"The first row, at line {line}: {plain(str(error))}."
                continue
            items.update((item.key, item) for item in made)
    if not items:
        raise BadInput(
            f"{plain(file)} holds no two answers to one question.",
            why or "A row is {\"prompt\": ..., \"answers\": [..., ...]}, or answer_a and answer_b beside a prompt.",
        )
    return Answers(tuple(items.values())[:limit], left_out)


def _items(line: int, row: Mapping[str, Any]) -> list[Item]:
    prompt, answers = _parts(row)
    pairs = itertools.combinations(answers[:_MOST_ANSWERS], 2)
    return [Item(_key(prompt, pair), line, prompt, pair) for pair in pairs if pair[0] != pair[1]]


def _parts(row: Mapping[str, Any]) -> tuple[list[Message], list[list[Message]]]:
    """The question, and its answers; raises RowError where one of the two isn't found."""
    if "chosen" in row and "rejected" in row:
        columns = {name: name for name in ("prompt", "chosen", "rejected") if name in row}
        if "prompt" not in columns and (asked := next((name for name in _PROMPTS if row.get(name)), None)):
            columns["prompt"] = asked
        pair = FORMATS["preference"].convert(dict(row), columns)
        return pair["prompt"], [pair["chosen"], pair["rejected"]]
    for one, two in _PAIRS:
        if row.get(one) is not None and row.get(two) is not None:
            return _prompt(row), [_answer(row[name], name) for name in (one, two)]
    for name in _LISTS:
        given = unpack(row.get(name))
        if isinstance(given, list) and len(given) > 1:
            return _prompt(row), [_answer(each, name) for each in given]
    raise RowError(f"it has the columns {', '.join(map(str, row))}, of which none are two answers")


def _prompt(row: Mapping[str, Any]) -> list[Message]:
    name = next((name for name in _PROMPTS if row.get(name)), None)
    if name is None:
        raise RowError(f"it has the columns {', '.join(map(str, row))}, of which none is the question")
    turns = turns_of(row[name], "user", name)
    if name == "instruction" and isinstance(row.get("input"), str) and row["input"].strip():
        turns[0]["content"] += f"\n\n{row['input']}"
    system = row.get("system")
    if isinstance(system, str) and system.strip() and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": system}, *turns]
    return turns


def _answer(value: Any, column: str) -> list[Message]:
    if isinstance(value, Mapping) and not {"role", "from"} & value.keys():
        said = next((value[name] for name in _TEXTS if isinstance(value.get(name), str)), None)
        if said is None:
            raise RowError(f"column {column!r} holds {kind_of(value)} without a text")
        value = said
    turns = turns_of(value, "assistant", column)
    if not any(str(turn.get("content") or "").strip() or turn.get("tool_calls") for turn in turns):
        raise RowError(f"an answer in {column!r} is empty")
    return turns


def _key(prompt: list[Message], pair: tuple[list[Message], list[Message]]) -> str:
    return hashlib.blake2b(json.dumps([prompt, *pair], sort_keys=True).encode(), digest_size=8).hexdigest()
