"""Function calls of a turn, in the one form that chat templates take.

[{"type": "function", "function": {"name": str, "arguments": {...}}, "id": str where the row has one}]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftui.data.canonical import Message, RowError

Call = dict[str, Any]


def calls_of(value: Any) -> list[Call]:
    """What stands in a turn's `tool_calls` or `function_call`: one call or several, with or without their wrapping.

    Raises RowError where a call has no name.
    """
    given = _parsed(value)
    return [_call(item) for item in (given if isinstance(given, list) else [given])]


def calls_in_text(text: str) -> list[Call]:
    """The calls that a `function_call` turn spells as JSON; none where it is something else, which stays as it is."""
    try:
        return calls_of(text)
    except RowError:
        return []


def function_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a function as templates expect it, wrapped in its type."""
    if isinstance(tool.get("function"), Mapping) or "name" not in tool:
        return dict(tool)
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def as_text(messages: Sequence[Message]) -> list[Message]:
    """The same turns with their calls written as JSON after what they say, for templates without a place for calls."""
    return [_spelled(message) if "tool_calls" in message else message for message in messages]


def _spelled(message: Message) -> Message:
    calls = [json.dumps(call.get("function", call), ensure_ascii=False) for call in message["tool_calls"]]
    kept = {name: value for name, value in message.items() if name != "tool_calls"}
    return {**kept, "content": "\n".join(filter(None, [message["content"], *calls]))}


def _call(item: Any) -> Call:
    if not isinstance(item, Mapping):
        raise RowError("a function call is no object")
    inner = item["function"] if isinstance(item.get("function"), Mapping) else item
    name = inner.get("name")
    if not isinstance(name, str) or not name.strip():
        raise RowError("a function call has no name")
    arguments = _parsed(inner.get("arguments", inner.get("parameters")))
    function = {"name": name, "arguments": {} if arguments is None or arguments == "" else arguments}
    identity = item.get("id")
    return {"type": "function", "function": function, **({"id": identity} if isinstance(identity, str) else {})}


def _parsed(value: Any) -> Any:
    """Arguments come as an object, or (OpenAI) as the JSON text of one."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
