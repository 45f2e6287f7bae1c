"""One converter per format: a file's row and the columns to read -> a canonical value, or a RowError that says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ftui.data.canonical import RowError
from ftui.data.document import FormatName, RowKind
from ftui.data.paired import arena, preference, safe_rlhf, shp
from ftui.data.parts import (
    Columns,
    images_in,
    label_in,
    list_in,
    message_of,
    needs_answer,
    scalar,
    system_turn,
    text_in,
    thoughtful,
    tools_in,
    turns_of,
    unpack,
    value_in,
)
from ftui.data.ranked import ranked

Converter = Callable[[Mapping[str, Any], Columns], dict[str, Any]]


@dataclass(frozen=True)
class Format:
    """A format's canonical kind, its converter, and its parts: the ones it can't do without come first."""

    name: FormatName
    kind: RowKind
    convert: Converter
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


_PAIR = ("user", "assistant")


def alpaca(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """instruction, input (may be missing or empty), output; history holds earlier [question, answer] pairs."""
    messages = system_turn(row, columns)
    for pair in list_in(row, columns, "history"):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowError(f"column {columns['history']!r} must hold [question, answer] pairs")
        messages += [message_of(role, scalar(said, "history")) for role, said in zip(_PAIR, pair, strict=True)]
    instruction, given = text_in(row, columns, "instruction"), text_in(row, columns, "input", optional=True)
    question = "\n".join(part for part in (instruction, given) if part.strip())
    if not question.strip():
        raise RowError("the instruction is empty")
    answer = thoughtful(row, columns, [message_of("assistant", text_in(row, columns, "output"))])
    return {"messages": [*messages, message_of("user", question), *answer]}


def prompt_completion(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A prompt and its completion, each a text or a list of messages."""
    prompt = turns_of(value_in(row, columns, "prompt"), "user", columns["prompt"])
    completion = turns_of(value_in(row, columns, "completion"), "assistant", columns["completion"])
    if not any(str(message["content"]).strip() for message in prompt):
        raise RowError("the prompt is empty")
    needs_answer(completion)
    completion = thoughtful(row, columns, completion)
    return {"messages": [*system_turn(row, columns, prompt), *prompt, *completion], **tools_in(row, columns)}


def conversation(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A list of turns: from/value (ShareGPT) or role/content (OpenAI, ChatML); `images` beside it are file names."""
    messages = turns_of(list_in(row, columns, "messages", needed=True), "user", columns["messages"])
    needs_answer(messages)
    column = columns.get("images", "images")
    images = images_in(row, column)
    rest = {name: value for name, value in row.items() if name != column} if images else row
    return {"messages": [*system_turn(rest, columns, messages), *messages], **images, **tools_in(row, columns)}


def text(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Plain text, trained as it stands."""
    return {"text": text_in(row, columns, "text")}


def kto(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """An answer that was good or bad: messages and a label, or prompt, completion and a label."""
    label = label_in(value_in(row, columns, "label"), columns["label"])
    if "messages" in columns:
        messages = turns_of(list_in(row, columns, "messages", needed=True), "user", columns["messages"])
        if not messages or messages[-1]["role"] != "assistant":
            raise RowError("the last turn isn't the assistant's, so there is no answer to label")
        prompt, completion = messages[:-1], messages[-1:]
    else:
        prompt = turns_of(value_in(row, columns, "prompt"), "user", columns["prompt"])
        completion = turns_of(value_in(row, columns, "completion"), "assistant", columns["completion"])
        needs_answer(completion)
    return {"prompt": [*system_turn(row, columns, prompt), *prompt], "completion": completion, "label": label,
            **tools_in(row, columns)}  # fmt: skip


def prompt(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A question that the model itself answers; every other column is kept for the reward that judges it."""
    messages = turns_of(value_in(row, columns, "prompt"), "user", columns["prompt"])
    if not any(str(message["content"]).strip() for message in messages):
        raise RowError("the prompt is empty")
    used = {columns[part] for part in ("prompt", "system", "tools") if part in columns}
    beside = {name: value for name, value in row.items() if name not in used}
    return {"prompt": [*system_turn(row, columns, messages), *messages], "columns": beside, **tools_in(row, columns)}


def classification(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A text and its label, or a list of the labels that apply."""
    value = unpack(value_in(row, columns, "label"))
    multi = isinstance(value, list | tuple)
    labels = [scalar(label, columns["label"]).strip() for label in (value if multi else [value])]
    if not multi and not labels[0]:
        raise RowError("the label is empty")
    return {"text": text_in(row, columns, "text"), "labels": labels, "multi": multi}


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Format("alpaca", "conversation", alpaca, ("instruction", "output"),
               ("input", "system", "history", "reasoning")),
        Format("sharegpt", "conversation", conversation, ("messages",), ("system", "tools", "images")),
        Format("messages", "conversation", conversation, ("messages",), ("system", "tools", "images")),
        Format("prompt-completion", "conversation", prompt_completion, ("prompt", "completion"),
               ("system", "tools", "reasoning")),
        Format("text", "text", text, ("text",)),
        Format("preference", "preference", preference, ("chosen", "rejected"),
               ("prompt", "margin", "score_chosen", "score_rejected", "system", "tools")),
        Format("safe-rlhf", "preference", safe_rlhf, ("prompt", "first", "second", "winner"), ("system",)),
        Format("shp", "preference", shp, ("prompt", "first", "second", "winner"), ("system",)),
        Format("arena", "preference", arena, ("first", "second", "winner"), ("prompt", "system")),
        Format("ranked", "preference", ranked, ("prompt", "answers"), ("scores", "ranks", "system", "tools")),
        Format("kto", "labelled", kto, ("label",), ("messages", "prompt", "completion", "system", "tools")),
        Format("prompt", "prompt", prompt, ("prompt",), ("system", "tools")),
        Format("classification", "class", classification, ("text", "label")),
    )
}


