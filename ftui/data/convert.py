"""One converter per format: a file's row and the columns to read -> a canonical value, or a RowError that says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ftui.data.canonical import Message, RowError
from ftui.data.document import FormatName, RowKind

Columns = Mapping[str, str]
"""Part of the format (such as "prompt") -> the column that plays it."""
Converter = Callable[[Mapping[str, Any], Columns], dict[str, Any]]

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "question": "user", "instruction": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatbot": "assistant",
    "chatgpt": "assistant", "bard": "assistant", "claude": "assistant", "ai": "assistant", "answer": "assistant",
    "function_call": "assistant", "tool_call": "assistant",
    "tool": "tool", "observation": "tool", "function": "tool", "ipython": "tool", "function_response": "tool",
    "tool_response": "tool",
}  # fmt: skip
"""Every role name seen in the wild -> the role that chat templates know."""

_MEDIA = ("images", "image", "videos", "video", "audios", "audio")


@dataclass(frozen=True)
class Format:
    """A format's canonical kind, its converter, and its parts: the ones it can't do without come first."""

    name: FormatName
    kind: RowKind
    convert: Converter
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def alpaca(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """instruction, input (may be missing or empty), output; history holds earlier [question, answer] pairs."""
    messages = _system(row, columns)
    for pair in _list(row, columns, "history"):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowError(f"column {columns['history']!r} must hold [question, answer] pairs")
        messages += [_message("user", _scalar(pair[0], "history")), _message("assistant", _scalar(pair[1], "history"))]
    instruction, given = _text(row, columns, "instruction"), _text(row, columns, "input", optional=True)
    question = "\n".join(part for part in (instruction, given) if part.strip())
    if not question.strip():
        raise RowError("the instruction is empty")
    return {"messages": [*messages, _message("user", question), _message("assistant", _text(row, columns, "output"))]}


def prompt_completion(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A prompt and its completion, each a text or a list of messages."""
    prompt = _turns(_value(row, columns, "prompt"), "user", columns["prompt"])
    completion = _turns(_value(row, columns, "completion"), "assistant", columns["completion"])
    if not any(str(message["content"]).strip() for message in prompt):
        raise RowError("the prompt is empty")
    _needs_answer(completion)
    return {"messages": [*_system(row, columns, prompt), *prompt, *completion], **_tools(row, columns)}


def conversation(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A list of turns: from/value (ShareGPT) or role/content (OpenAI, ChatML)."""
    messages = _turns(_list(row, columns, "messages", needed=True), "user", columns["messages"])
    _needs_answer(messages)
    return {"messages": [*_system(row, columns, messages), *messages], **_tools(row, columns)}


def text(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Plain text, trained as it stands."""
    return {"text": _text(row, columns, "text")}


def preference(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A better and a worse answer; the prompt is a column of its own or what both conversations begin with.

    A margin says by how much the chosen one is better, for a reward model.
    """
    chosen = _turns(_value(row, columns, "chosen"), "assistant", columns["chosen"])
    rejected = _turns(_value(row, columns, "rejected"), "assistant", columns["rejected"])
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    prompt: list[Message] = []
    if "prompt" in columns and row.get(columns["prompt"]) is not None:
        prompt = _turns(_value(row, columns, "prompt"), "user", columns["prompt"])
    if not prompt or chosen[: len(prompt)] == prompt:
        prompt = chosen[:shared]
    chosen, rejected = chosen[shared:], rejected[shared:]
    _needs_answer(chosen)
    _needs_answer(rejected)
    if chosen == rejected:
        raise RowError("chosen and rejected are the same")
    return {"prompt": [*_system(row, columns, prompt), *prompt], "chosen": chosen, "rejected": rejected,
            **_margin(row, columns), **_tools(row, columns)}  # fmt: skip


def kto(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """An answer that was good or bad: messages and a label, or prompt, completion and a label."""
    label = _label(_value(row, columns, "label"), columns["label"])
    if "messages" in columns:
        messages = _turns(_list(row, columns, "messages", needed=True), "user", columns["messages"])
        if not messages or messages[-1]["role"] != "assistant":
            raise RowError("the last turn isn't the assistant's, so there is no answer to label")
        prompt, completion = messages[:-1], messages[-1:]
    else:
        prompt = _turns(_value(row, columns, "prompt"), "user", columns["prompt"])
        completion = _turns(_value(row, columns, "completion"), "assistant", columns["completion"])
        _needs_answer(completion)
    return {"prompt": [*_system(row, columns, prompt), *prompt], "completion": completion, "label": label,
            **_tools(row, columns)}  # fmt: skip


def prompt(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A question that the model itself answers; every other column is kept for the reward that judges it."""
    messages = _turns(_value(row, columns, "prompt"), "user", columns["prompt"])
    if not any(str(message["content"]).strip() for message in messages):
        raise RowError("the prompt is empty")
    used = {columns[part] for part in ("prompt", "system", "tools") if part in columns}
    beside = {name: value for name, value in row.items() if name not in used}
    return {"prompt": [*_system(row, columns, messages), *messages], "columns": beside, **_tools(row, columns)}


def classification(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A text and its label, or a list of the labels that apply."""
    value = _unpacked(_value(row, columns, "label"))
    multi = isinstance(value, list | tuple)
    labels = [_scalar(label, columns["label"]).strip() for label in (value if multi else [value])]
    if not multi and not labels[0]:
        raise RowError("the label is empty")
    return {"text": _text(row, columns, "text"), "labels": labels, "multi": multi}


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Format("alpaca", "conversation", alpaca, ("instruction", "output"), ("input", "system", "history")),
        Format("sharegpt", "conversation", conversation, ("messages",), ("system", "tools")),
        Format("messages", "conversation", conversation, ("messages",), ("system", "tools")),
        Format("prompt-completion", "conversation", prompt_completion, ("prompt", "completion"), ("system", "tools")),
        Format("text", "text", text, ("text",)),
        Format("preference", "preference", preference, ("chosen", "rejected"),
               ("prompt", "margin", "system", "tools")),
        Format("kto", "labelled", kto, ("label",), ("messages", "prompt", "completion", "system", "tools")),
        Format("prompt", "prompt", prompt, ("prompt",), ("system", "tools")),
        Format("classification", "class", classification, ("text", "label")),
    )
}


def _value(row: Mapping[str, Any], columns: Columns, part: str) -> Any:
    column = columns[part]
    if column not in row:
        raise RowError(f"column {column!r} is missing")
    if row[column] is None:
        raise RowError(f"column {column!r} is null")
    if _is_nan(row[column]):
        raise RowError(f"column {column!r} is NaN, which stands for a missing value")
    return row[column]


def _is_nan(value: Any) -> bool:
    """pandas writes a missing text as NaN: trained, it would be the word "nan"."""
    return isinstance(value, float) and value != value


def _text(row: Mapping[str, Any], columns: Columns, part: str, *, optional: bool = False) -> str:
    if optional and (part not in columns or row.get(columns[part]) is None or _is_nan(row[columns[part]])):
        return ""
    return _scalar(_value(row, columns, part), columns[part])


def _scalar(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise RowError(f"column {column!r} holds {_kind(value)} where text should be")


def _list(row: Mapping[str, Any], columns: Columns, part: str, *, needed: bool = False) -> list[Any]:
    if not needed and (part not in columns or row.get(columns[part]) is None or _is_nan(row[columns[part]])):
        return []
    value = _unpacked(_value(row, columns, part))
    if not isinstance(value, list):
        raise RowError(f"column {columns[part]!r} holds {_kind(value)} where a list should be")
    if needed and not value:
        raise RowError(f"column {columns[part]!r} is an empty list")
    return value


def _unpacked(value: Any) -> Any:
    """CSV and some Parquet files hold lists and objects as JSON text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _turns(value: Any, role: str, column: str) -> list[Message]:
    """A text as one turn of `role`; a message or a list of messages, in either spelling, as they are."""
    unpacked = _unpacked(value)
    if isinstance(unpacked, dict) and _is_message(unpacked):
        return [_turn(unpacked, column)]
    if isinstance(unpacked, list) and (not isinstance(value, str) or all(map(_is_message, unpacked))):
        return [_turn(item, column) for item in unpacked]
    return [_message(role, _scalar(value, column))]


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and bool({"role", "from"} & value.keys())


def _turn(item: Any, column: str) -> Message:
    if not isinstance(item, Mapping):
        raise RowError(f"column {column!r} holds {_kind(item)} where a turn should be")
    name = item.get("role") if item.get("role") is not None else item.get("from")
    if not isinstance(name, str):
        raise RowError("a turn has no role")
    role = ROLES.get(name.strip().lower())
    if role is None:
        raise RowError(f"unknown role {name[:40]!r}")
    content = next((item[key] for key in ("content", "value", "text") if item.get(key) is not None), None)
    message = _message(role, _content(content))
    thoughts = next((item[key] for key in ("reasoning_content", "thinking", "reasoning") if item.get(key)), None)
    if role == "assistant" and isinstance(thoughts, str):
        # Reasoning models write their thoughts so, and their templates take them apart again.
        message["content"] = f"<think>\n{thoughts.strip()}\n</think>\n\n{message['content'].lstrip()}"
    if calls := item.get("tool_calls"):
        message["tool_calls"] = calls
    elif content is None:
        raise RowError(f"a turn of role {name[:40]!r} has no content")
    return message


def _content(content: Any) -> str:
    """The text of a turn: a text, or OpenAI's list of parts."""
    if content is None or _is_nan(content):
        return ""
    if not isinstance(content, list):
        return _scalar(content, "content")
    parts = []
    for part in content:
        if isinstance(part, Mapping) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
            parts.append(part["text"])
        elif isinstance(part, str):
            parts.append(part)
        else:
            what = part.get("type") if isinstance(part, Mapping) else _kind(part)
            raise RowError(f"a turn holds {str(what)[:40]!r}; only text can be trained")
    return "".join(parts)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _system(row: Mapping[str, Any], columns: Columns, turns: list[Message] | None = None) -> list[Message]:
    """The system column as a first turn, unless the conversation brings its own; media rows are refused here."""
    for column in _MEDIA:
        if row.get(column):
            raise RowError(f"has {column}; only text can be trained")
    system = _text(row, columns, "system", optional=True)
    if not system.strip() or (turns and turns[0]["role"] == "system"):
        return []
    return [_message("system", system)]


def _tools(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """The functions that the conversation may call: a list, or the JSON text of one."""
    value = _unpacked(row.get(columns["tools"])) if "tools" in columns else None
    if not value:
        return {}
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise RowError(f"column {columns['tools']!r} holds {_kind(value)} where a list of functions should be")
    return {"tools": value}


def _margin(row: Mapping[str, Any], columns: Columns) -> dict[str, float]:
    """By how much the chosen answer is better, where a column says it."""
    value = row.get(columns["margin"]) if "margin" in columns else None
    if value is None or _is_nan(value):
        return {}
    try:
        return {"margin": float(value)}
    except (TypeError, ValueError) as error:
        raise RowError(f"column {columns['margin']!r} holds {str(value)[:40]!r} where a number should be") from error


def _label(value: Any, column: str) -> bool:
    known = {"true": True, "1": True, "1.0": True, "yes": True, "good": True,
             "false": False, "0": False, "0.0": False, "no": False, "bad": False}  # fmt: skip
    label = known.get(str(value).strip().lower())
    if label is None:
        raise RowError(f"column {column!r} holds {str(value)[:40]!r} where true or false should be")
    return label


def _needs_answer(messages: list[Message]) -> None:
    if not any(message["role"] == "assistant" for message in messages):
        raise RowError("no turn of the assistant, so nothing to learn from")


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {list: "a list", dict: "an object", str: "a text", bool: "true or false", int: "a number",
                              float: "a number", type(None): "null", bytes: "bytes"}  # fmt: skip
    return kinds.get(type(value), f"a {type(value).__name__}")
