"""JSON in its shapes: one array, one object with a list inside, one object per line, objects one after another."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftui.data.encoding import open_bytes, open_text
from ftui.data.reading import Broken, RawRow

_DECODER = json.JSONDecoder()
LOOKED_OVER = 1000
"""Rows whose keys are looked over for one that stands twice: who writes such rows does so from the first."""
_SPACE = re.compile(r"[ \t\r\n]*")
_SEPARATOR = re.compile(r"[ \t\r\n,]*")
_MEMBER = re.compile(r'[ \t\r\n,]*"(?:[^"\\\n]|\\.)*"\s*:\s*')
_LIST_OF_OBJECTS = re.compile(r"\[(?=\s*\{)")
_NEXT_OBJECT = re.compile(r"\}[ \t\r\n]*,?[ \t\r\n]*(?=\{)")


class _Repeated(ValueError):
    """An object that says one thing twice, of which all readers but this one keep the last."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        twice = counted.most_common(1)[0][0]
        raise _Repeated(f"the key {twice[:40]!r} stands twice in one object")
    return row


_STRICT = json.JSONDecoder(object_pairs_hook=_object)


def read_json_lines(path: Path) -> Iterator[RawRow]:
    """One JSON object per line; blank lines are passed over."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            yield number, _parse_line(line, _STRICT if number <= LOOKED_OVER else _DECODER)


def _parse_line(line: bytes, decoder: json.JSONDecoder) -> dict[str, Any] | Broken:
    try:
        text = line.decode().rstrip()
    except UnicodeDecodeError as error:
        return Broken(f"not UTF-8 (byte 0x{line[error.start]:02X} at column {error.start + 1})")
    try:
        return _row(decoder.decode(text))
    except json.JSONDecodeError as error:
        if not line.endswith(b"\n") and _cut_off(error, text):
            return Broken("broken JSON: the file ends in the middle of this row")
        return Broken(f"broken JSON: {error.msg.removesuffix(' at')} at column {error.colno}")
    except (ValueError, RecursionError) as error:
        return Broken(_other_reason(error))


def read_json_array(path: Path) -> Iterator[RawRow]:
    """`[{...}, {...}]`: the elements, each with the line it starts at."""
    text = _text_of(path)
    yield from _elements(text, _skip(_SPACE, text, 0) + 1, array=True)


def read_json_object(path: Path) -> Iterator[RawRow]:
    """`{"data": [...]}`, `{"column": [...], ...}`, objects one after another over several lines, or a single row."""
    text = _text_of(path)
    start = _skip(_SPACE, text, 0)
    try:
        whole, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        # One row is broken, or the file is cut off; the others may still be read.
        inside, turns = _broken_list(text, start)
        if inside is not None and not turns:
            yield from _elements(text, inside, array=True)
        elif turns and "\n{" not in text and isinstance(error, json.JSONDecodeError) and _cut_off(error, text):
            yield _broken_off(text, start, 1 + text.count("\n", 0, start))
        elif "\n{" in text:
            yield from read_json_lines(path)
        else:
            yield from _elements(text, start, array=False)
        return
    if _skip(_SPACE, text, end) < len(text) or not isinstance(whole, dict):
        yield from _elements(text, start, array=False)
        return
    if rows_at := _list_inside(text, start):
        yield from _elements(text, rows_at + 1, array=True)
    elif columns := _columns_of(whole):
        names = list(columns)
        for number, values in enumerate(zip(*columns.values(), strict=True), 1):
            yield number, dict(zip(names, values, strict=True))
    else:
        yield from _elements(text, start, array=False)


def _broken_list(text: str, start: int, depth: int = 0) -> tuple[int | None, bool]:
    """(Where the elements of the list of objects begin in which an object that can't be read whole breaks off, among
    its members or theirs; None where it breaks off elsewhere.  Whether they are a conversation's turns, not rows)."""
    position = start + 1
    while member := _MEMBER.match(text, position):
        position = member.end()
        try:
            _, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
    else:
        return None, False
    if rows := _LIST_OF_OBJECTS.match(text, position):
        return rows.end(), _begins_with_a_turn(text, rows.end())
    return _broken_list(text, position, 1) if depth == 0 and text.startswith("{", position) else (None, False)


def _begins_with_a_turn(text: str, position: int) -> bool:
    try:
        first, _ = _DECODER.raw_decode(text, _skip(_SPACE, text, position))
    except (ValueError, RecursionError):
        return False
    return _is_turn(first)


def _is_turn(value: Any) -> bool:
    """Whether this is a turn of a conversation rather than a row."""
    return isinstance(value, dict) and not value.keys().isdisjoint(("role", "from"))


def _list_inside(text: str, start: int, depth: int = 0) -> int | None:
    """Where the longest list of objects starts among an object's members (or, one level down, theirs)."""
    best: tuple[int, int] | None = None
    position = _skip(_SPACE, text, start + 1)
    while position < len(text) and text[position] == '"':
        _, position = _DECODER.raw_decode(text, position)
        position = _skip(_SPACE, text, _skip(_SPACE, text, position) + 1)
        value, end = _DECODER.raw_decode(text, position)
        found, rows = None, 0
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            # A conversation's list of turns is a row's own, not a list of rows.
            if not _is_turn(value[0]):
                found, rows = position, len(value)
        elif isinstance(value, dict) and depth == 0 and (inner := _list_inside(text, position, 1)) is not None:
            found, rows = inner, 1
        if found is not None and (best is None or rows > best[0]):
            best = (rows, found)
        position = _skip(_SEPARATOR, text, end)
    return best[1] if best else None


def _columns_of(whole: dict[str, Any]) -> dict[str, list[Any]] | None:
    """The columns of a table written column by column (pandas writes `{"a": {"0": ...}}`), or None."""
    values = list(whole.values())
    if not values:
        return None
    if all(isinstance(value, dict) and "0" in value and value.keys() == values[0].keys() for value in values):
        return {name: list(value.values()) for name, value in whole.items()}
    scalars = all(
        isinstance(value, list) and value and not isinstance(value[0], dict) and len(value) == len(values[0])
        for value in values
    )
    return dict(whole) if scalars else None


def _elements(text: str, position: int, *, array: bool) -> Iterator[RawRow]:
    """Objects from `position` on, separated by commas or space; after a broken one, reading goes on with the next."""
    line, counted, rows = 1, 0, 0
    indent: str | None = None
    while (position := _skip(_SEPARATOR, text, position)) < len(text):
        if array and text[position] == "]":
            return
        line += text.count("\n", counted, position)
        counted = position
        if indent is None:
            indent = text[text.rfind("\n", 0, position) + 1 : position]
        try:
            rows += 1
            value, position = (_STRICT if rows <= LOOKED_OVER else _DECODER).raw_decode(text, position)
        except json.JSONDecodeError as error:
            following = _resume(text, position, indent)
            if following is None and _cut_off(error, text):
                yield _broken_off(text, position, line)
                return
            why = error.msg.removesuffix(" at")
            yield line, Broken(f"broken JSON: {why} at line {error.lineno} column {error.colno}")
            if following is None:
                return
            position = following
        except (ValueError, RecursionError) as error:
            yield line, Broken(_other_reason(error))
            following = _resume(text, position, indent)
            if following is None:
                return
            position = following
        else:
            yield line, _row(value)
    if array:
        line += text.count("\n", counted)
        yield line, Broken("broken JSON: the file ends before the list is closed")


def _cut_off(error: json.JSONDecodeError, text: str) -> bool:
    """Whether it is the end of the text that a value could not be read beyond."""
    return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")


def _broken_off(text: str, position: int, line: int) -> RawRow:
    """The row that begins at `position`, in this line, as one that the file ends within."""
    last = line + text.rstrip().count("\n", position)
    where = f" in line {last}," if last > line else ""
    return line, Broken(f"broken JSON: the file ends{where} in the middle of this row")


def _resume(text: str, position: int, indent: str) -> int | None:
    """Where the next object starts after the one at `position`: by the rows' own indentation, else by `}, {`."""
    if not indent.strip() and "\n" in text[:position]:
        found = text.find(f"\n{indent}{{", position + 1)
        return None if found < 0 else found + 1 + len(indent)
    match = _NEXT_OBJECT.search(text, position + 1)
    return match.end() if match else None


def _row(value: Any) -> dict[str, Any] | Broken:
    if isinstance(value, dict):
        return value
    kind = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
    return Broken(f"{kind} where an object with columns should be")


def _other_reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, _Repeated):
        return str(error)
    return f"unreadable value: {str(error).partition(';')[0]}"


def _text_of(path: Path) -> str:
    """The whole text; bytes that aren't UTF-8 stay as lone surrogates, so that only their rows are lost."""
    with open_text(path) as file:
        return file.read()


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
