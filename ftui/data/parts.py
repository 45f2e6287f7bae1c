"""The parts of a file's row: columns read as texts, lists, turns, functions, labels; a RowError says why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ftui.data.calls import calls_in_text, calls_of, function_of
from ftui.data.canonical import Message, RowError
from ftui.data.thoughts import COLUMNS, with_thoughts

Columns = Mapping[str, str]
"""Part of the format (such as "prompt") -> the column that plays it."""

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

_CALLING = ("function_call", "tool_call")
"""Roles whose words are calls, as JSON."""

_MEDIA = ("images", "image", "videos", "video", "audios", "audio")


def value_in(row: Mapping[str, Any], columns: Columns, part: str) -> Any:
    """What stands in the column of a part.  Raises RowError where it is missing, null or NaN."""
    column = columns[part]
    if column not in row:
        raise RowError(f"column {column!r} is missing")
    if row[column] is None:
        raise RowError(f"column {column!r} is null")
    if is_nan(row[column]):
        raise RowError(f"column {column!r} is NaN, which stands for a missing value")
    return row[column]


def is_nan(value: Any) -> bool:
    """pandas writes a missing text as NaN: trained, it would be the word "nan"."""
    return isinstance(value, float) and value != value


def text_in(row: Mapping[str, Any], columns: Columns, part: str, *, optional: bool = False) -> str:
    """The text of a part's column; of an optional one that isn't there, none."""
    if optional and (part not in columns or row.get(columns[part]) is None or is_nan(row[columns[part]])):
        return ""
    return scalar(value_in(row, columns, part), columns[part])


def scalar(value: Any, column: str) -> str:
    """A text, or a number as one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise RowError(f"column {column!r} holds {kind_of(value)} where text should be")


def list_in(row: Mapping[str, Any], columns: Columns, part: str, *, needed: bool = False) -> list[Any]:
    """A list, or the JSON text of one; of a part that isn't `needed` and isn't there, an empty one."""
    if not needed and (part not in columns or row.get(columns[part]) is None or is_nan(row[columns[part]])):
        return []
    value = unpack(value_in(row, columns, part))
    if not isinstance(value, list):
        raise RowError(f"column {columns[part]!r} holds {kind_of(value)} where a list should be")
    if needed and not value:
        raise RowError(f"column {columns[part]!r} is an empty list")
    return value


def unpack(value: Any) -> Any:
    """CSV and some Parquet files hold lists and objects as JSON text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def turns_of(value: Any, role: str, column: str) -> list[Message]:
    """A text as one turn of `role`; a message or a list of messages, in either spelling, as they are."""
    given = unpack(value)
    if isinstance(given, dict) and _is_message(given):
        return [_turn(given, column)]
    if isinstance(given, list) and (not isinstance(value, str) or all(map(_is_message, given))):
        return [_turn(item, column) for item in given]
    return [message_of(role, scalar(value, column))]


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and bool({"role", "from"} & value.keys())


def _turn(item: Any, column: str) -> Message:
    if not isinstance(item, Mapping):
        raise RowError(f"column {column!r} holds {kind_of(item)} where a turn should be")
    name = item.get("role") if item.get("role") is not None else item.get("from")
    if not isinstance(name, str):
        raise RowError("a turn has no role")
    role = ROLES.get(name.strip().lower())
    if role is None:
        raise RowError(f"unknown role {name[:40]!r}")
    content = next((item[key] for key in ("content", "value", "text") if item.get(key) is not None), None)
    message = message_of(role, _content(content))
    thoughts = next((item[key] for key in COLUMNS if item.get(key)), None)
    if role == "assistant" and isinstance(thoughts, str):
        message["content"] = with_thoughts(thoughts, message["content"])
    if role == "tool":
        # Some templates tell a result by its function or by its call.
        message |= {key: item[key] for key in ("name", "tool_call_id") if isinstance(item.get(key), str)}
    if calls := item.get("tool_calls") or item.get("function_call"):
        message["tool_calls"] = calls_of(calls)
    elif content is None:
        raise RowError(f"a turn of role {name[:40]!r} has no content")
    elif name.strip().lower() in _CALLING and (spelled := calls_in_text(message["content"])):
        return {"role": role, "content": "", "tool_calls": spelled}
    return message


def _content(content: Any) -> str:
    """The text of a turn: a text, or OpenAI's list of parts."""
    if content is None or is_nan(content):
        return ""
    if not isinstance(content, list):
        return scalar(content, "content")
    parts = []
    for part in content:
        if isinstance(part, Mapping) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
            parts.append(part["text"])
        elif isinstance(part, str):
            parts.append(part)
        else:
            what = part.get("type") if isinstance(part, Mapping) else kind_of(part)
            raise RowError(f"a turn holds {str(what)[:40]!r}; only text can be trained")
    return "".join(parts)


def message_of(role: str, content: str) -> Message:
    """One turn."""
    return {"role": role, "content": content}


def system_turn(row: Mapping[str, Any], columns: Columns, turns: list[Message] | None = None) -> list[Message]:
    """The system column as a first turn, unless the conversation brings its own; media rows are refused here."""
    for column in _MEDIA:
        if row.get(column):
            raise RowError(f"has {column}; only text can be trained")
    system = text_in(row, columns, "system", optional=True)
    if not system.strip() or (turns and turns[0]["role"] == "system"):
        return []
    return [message_of("system", system)]


def images_in(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    """The names of the row's images, where it has any."""
    names = unpack(row.get(column))
    if not names:
        return {}
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise RowError(f"column {column!r} must hold file names")
    return {"images": names}


def tools_in(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """The functions that the conversation may call: a list, or the JSON text of one."""
    value = unpack(row.get(columns["tools"])) if "tools" in columns else None
    if not value:
        return {}
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise RowError(f"column {columns['tools']!r} holds {kind_of(value)} where a list of functions should be")
    return {"tools": [function_of(tool) for tool in value]}


def margin_in(row: Mapping[str, Any], columns: Columns) -> dict[str, float]:
    """By how much the chosen answer is better: as a column says, else the difference of the answers' scores.

    People prefer answers that a scoring model likes less; such a pair stands, with a margin of 0.
    """
    margin = _number(row, columns, "margin")
    if margin is not None:
        return {"margin": margin}
    better, worse = _number(row, columns, "score_chosen"), _number(row, columns, "score_rejected")
    return {} if better is None or worse is None else {"margin": max(better - worse, 0.0)}


def _number(row: Mapping[str, Any], columns: Columns, part: str) -> float | None:
    value = row.get(columns[part]) if part in columns else None
    if value is None or is_nan(value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RowError(f"column {columns[part]!r} holds {str(value)[:40]!r} where a number should be") from error


def label_in(value: Any, column: str) -> bool:
    """Whether an answer was good, in any of the usual words for it."""
    known = {"true": True, "1": True, "1.0": True, "yes": True, "good": True, "desirable": True,
             "thumbs_up": True, "up": True, "+1": True, "accepted": True, "chosen": True,
             "false": False, "0": False, "0.0": False, "no": False, "bad": False, "undesirable": False,
             "thumbs_down": False, "down": False, "-1": False, "rejected": False}  # fmt: skip
    label = known.get(str(value).strip().lower())
    if label is None:
        raise RowError(f"column {column!r} holds {str(value)[:40]!r} where true or false should be")
    return label


def thoughtful(row: Mapping[str, Any], columns: Columns, answer: list[Message]) -> list[Message]:
    """The turns of an answer, with the thoughts of a column beside it before what its first assistant's turn says."""
    thoughts = text_in(row, columns, "reasoning", optional=True)
    first = next((index for index, turn in enumerate(answer) if turn["role"] == "assistant"), None)
    if not thoughts.strip() or first is None or "<think>" in answer[first]["content"]:
        return answer
    told = {**answer[first], "content": with_thoughts(thoughts, answer[first]["content"])}
    return [*answer[:first], told, *answer[first + 1 :]]


def needs_answer(messages: list[Message]) -> None:
    """Raises RowError where the assistant says nothing."""
    if not any(message["role"] == "assistant" for message in messages):
        raise RowError("no turn of the assistant, so nothing to learn from")


def kind_of(value: Any) -> str:
    """What kind of value it is, for a sentence."""
    kinds: dict[type, str] = {list: "a list", dict: "an object", str: "a text", bool: "true or false", int: "a number",
                              float: "a number", type(None): "null", bytes: "bytes"}  # fmt: skip
    return kinds.get(type(value), f"a {type(value).__name__}")
