"""JSON in its shapes: one array, one object with a list inside, one object per line, objects one after another."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftui.data.encoding import open_bytes, open_text
from ftui.data.json_window import BLOCK, Window
from ftui.data.reading import LONGEST, Broken, RawRow, lines_of, too_long
from ftui.units import MiB

_DECODER = json.JSONDecoder()
LOOKED_OVER = 1000
"""Rows whose keys are looked over for one that stands twice: who writes such rows does so from the first."""
_WHOLE = 64 * MiB
"""Characters up to which an object is looked at as a whole for where its rows stand."""
_ENDS_WITHIN = 16
"""Characters before the end where a value that goes on behind it may seem broken: half a number, half an escape."""
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
        for number, line in enumerate(lines_of(file), 1):
            if isinstance(line, Broken):
                yield number, line
                continue
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
    with open_text(path) as file:
        window = Window(file.read(BLOCK), file.read)
        yield from _elements(window, window.skip(_SPACE, 0) + 1, array=True)


def read_json_object(path: Path) -> Iterator[RawRow]:
    """`{"data": [...]}`, `{"column": [...], ...}`, objects one after another over several lines, or a single row."""
    with open_text(path) as file:
        text = file.read(_WHOLE + 1)
        if len(text) > _WHOLE:
            inside, turns = _broken_list(text, _skip(_SPACE, text, 0))
            window = Window(text, file.read)
            yield from _elements(window, inside if inside and not turns else 0, array=bool(inside and not turns))
        else:
            yield from _rows_of_object(path, text)


def _rows_of_object(path: Path, text: str) -> Iterator[RawRow]:
    start = _skip(_SPACE, text, 0)
    try:
        whole, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        # One row is broken, or the file is cut off; the others may still be read.
        inside, turns = _broken_list(text, start)
        if inside is not None and not turns:
            yield from _elements(Window(text), inside, array=True)
        elif turns and "\n{" not in text and isinstance(error, json.JSONDecodeError) and _cut_off(error, text):
                yield _broken_off(Window(text), 1 + text.count("\n", 0, start))
        elif "\n{" in text:
            yield from read_json_lines(path)
        else:
            yield from _elements(Window(text), start, array=False)
        return
    if _skip(_SPACE, text, end) < len(text) or not isinstance(whole, dict):
        yield from _elements(Window(text), start, array=False)
        return
    if rows_at := _list_inside(text, start):
        yield from _elements(Window(text), rows_at + 1, array=True)
    elif columns := _columns_of(whole):
        names = list(columns)
        for number, values in enumerate(zip(*columns.values(), strict=True), 1):
            yield number, dict(zip(names, values, strict=True))
    else:
        yield from _elements(Window(text), start, array=False)


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


def _elements(window: Window, position: int, *, array: bool) -> Iterator[RawRow]:
    """Objects from `position` on, separated by commas or space; after a broken one, reading goes on with the next."""
    rows = 0
    indent: str | None = None
    while (position := window.skip(_SEPARATOR, position)) < len(window.text):
        if array and window.text[position] == "]":
            return
        line = window.line_at(position)
        if indent is None:
            indent = window.text[window.text.rfind("\n", 0, position) + 1 : position]
        if position > BLOCK:
            window.drop(position)
            position = 0
        rows += 1
        try:
            value, position = _decoded(window, position, _STRICT if rows <= LOOKED_OVER else _DECODER)
        except (ValueError, RecursionError) as error:
            cut_off = isinstance(error, json.JSONDecodeError) and window.ended and _cut_off(error, window.text)
            why = Broken(_reason(error, window))
            following = _resume(window, position, line, indent)
            if following is None and cut_off:
                yield _broken_off(window, line)
                return
            yield line, why
            if following is None:
                return
            position = following
        else:
            yield line, _row(value)
    if array:
        yield window.line_at(position), Broken("broken JSON: the file ends before the list is closed")


class _TooLong(ValueError):
    """An element that is longer than any row."""


def _decoded(window: Window, position: int, decoder: json.JSONDecoder) -> tuple[Any, int]:
    """The value at the position and where it ends; the window grows until it holds it, or more than a row may take."""
    while True:
        try:
            value, end = decoder.raw_decode(window.text, position)
        except json.JSONDecodeError as error:
            ends = error.pos >= len(window.text) - _ENDS_WITHIN or error.msg.startswith("Unterminated")
            if not ends or window.ended:
                raise
            if len(window.text) - position > LONGEST:
                raise _TooLong from None
            window.grow()
        else:
            if end < len(window.text) or not window.grow():
                return value, end


def _cut_off(error: json.JSONDecodeError, text: str) -> bool:
    """Whether it is the end of the text that a value could not be read beyond."""
    return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")


def _broken_off(window: Window, line: int) -> RawRow:
    """The row that begins in this line as one that the file ends within."""
    last = window.first_line + window.text.rstrip().count("\n")
    where = f" in line {last}," if last > line else ""
    return line, Broken(f"broken JSON: the file ends{where} in the middle of this row")


def _resume(window: Window, position: int, line: int, indent: str) -> int | None:
    """Where the next object starts after the one at `position`: by the rows' own indentation, else by `}, {`."""
    by_indent = not indent.strip() and line > 1
    return window.search(re.compile(f"\n{indent}(?=\\{{)") if by_indent else _NEXT_OBJECT, position + 1)


def _row(value: Any) -> dict[str, Any] | Broken:
    if isinstance(value, dict):
        return value
    kind = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
    return Broken(f"{kind} where an object with columns should be")


def _reason(error: ValueError | RecursionError, window: Window) -> str:
    """Why an element can't be read, with its place in the file."""
    if isinstance(error, _TooLong):
        return too_long(len(window.text))
    if not isinstance(error, json.JSONDecodeError):
        return _other_reason(error)
    line, column = window.first_line + error.lineno - 1, error.colno + (window.column if error.lineno == 1 else 0)
    return f"broken JSON: {error.msg.removesuffix(' at')} at line {line} column {column}"


def _other_reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, _Repeated):
        return str(error)
    return f"unreadable value: {str(error).partition(';')[0]}"


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
