"""Metrics by the hundred: a piece of events.jsonl as columns of numbers, a tenth of what line by line would take.

A metric event of a run looks like the one before it.  From one of them a decoder for its like is made (msgspec: three
times as fast as a decoder for any JSON, and it tells numbers from the rest at no cost), and what it takes at once is a
`Stretch`, whose columns hold what the lines did.  Whatever differs in the least comes as the `Event` that it is.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import lt
from typing import Any, Literal

import msgspec
from msgspec.structs import astuple

from ftui.runs.document import Event
from ftui.runs.lines import parse_line

PIECE = 1 << 17
"""Bytes that are decoded at once, some hundred lines: what comes of more of them no longer lies in a core's cache."""
FEW = 4
"""So many lines are read one by one where they can't be decoded at once."""
ENDLESS = 1 << 62
NUMBERS = (float, int, type(None))
Fields = tuple[tuple[str, type], ...]
"""Names of a metric's data, or of the named values within it, and what each of them is."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Metric events of one attempt in the order of their steps: `columns[name][i]` was measured at `steps[i]` and
    written at `times[i]`.  A column in `gaps` holds NaN where the value was null, the others hold none; the loss never
    does.  No event lies between but the bar's progress."""

    attempt: int
    steps: array[int]
    times: array[float]
    columns: dict[str, array[float]]
    gaps: frozenset[str] = frozenset()


class _Bar(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The data of a progress event that does nothing but move the bar of steps."""

    done: int | float
    unit: Literal["step"]
    text: str | msgspec.UnsetType | None = msgspec.UNSET
    total: int | float | msgspec.UnsetType | None = msgspec.UNSET


class _Progress(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag_field="kind", tag="progress"):
    v: int
    seq: int
    attempt: int
    time: float
    step: int | None
    data: _Bar


@dataclass(frozen=True, slots=True)
class _Decoder:
    """What takes metric events of one shape, and progress between them."""

    lines: Any
    """Whole lines -> a list of rows."""
    names: tuple[str, ...]
    """Of the data's values one after the other, "" for what is no number."""
    within: tuple[str, ...]
    """The same of its "values", none where it has none."""
    values: int
    """Which of the data they are."""


class Reader:
    """Reads the lines of one run from its first on; it remembers the newest attempt and what metrics look like."""

    def __init__(self) -> None:
        self.garbage = 0
        """How many lines were no events."""
        self._attempt = 0
        self._decoder: _Decoder | None = None

    def items(self, data: bytes) -> list[Event | Stretch]:
        """What these whole lines hold, in their order."""
        found: list[Event | Stretch] = []
        start = 0
        while start < len(data):
            end = data.find(b"\n", min(start + PIECE, len(data) - 1)) + 1
            self._take(data[start:end], found)
            start = end
        return found

    def _take(self, piece: bytes, found: list[Event | Stretch]) -> None:
        """At once where that can be done, else each half by itself."""
        lines = piece.count(b"\n")
        if lines > 1 and (taken := self._at_once(piece, lines)) is not None:
            found += taken
            return
        if lines > FEW:
            middle = piece.find(b"\n", len(piece) // 2) + 1
            if middle < len(piece):
                self._take(piece[:middle], found)
                self._take(piece[middle:], found)
                return
        for line in piece.split(b"\n"):
            if event := parse_line(line):
                found.append(event)
                self._attempt = max(self._attempt, event.attempt)
                if event.kind == "metric":
                    named = event.data.get("values")
                    self._decoder = _decoder(_fields(event.data), _fields(named) if type(named) is dict else None)
            elif line:
                self.garbage += 1

    def _at_once(self, piece: bytes, lines: int) -> list[Event | Stretch] | None:
        """Metrics as one stretch, with the newest progress among them before or after it; None where they differ."""
        decoder = self._decoder
        if decoder is None or not piece.startswith(b"{") or piece.count(b"}\n{") != lines - 1:
            # The decoder itself would take two in a line, or one in two.
            return None
        try:
            rows = decoder.lines(piece)
        except msgspec.DecodeError:
            return None
        bars = [place for place, row in enumerate(rows) if type(row) is _Progress]
        metrics = rows if not bars else [row for row in rows if type(row) is not _Progress]
        if not metrics or len(rows) != lines or any(rows[bar].attempt != self._attempt for bar in bars):
            return None
        if len({(rows[bar].data.text, rows[bar].data.total) for bar in bars}) > 1:
            return None
        _, _, attempts, times, steps, datas = zip(*map(astuple, metrics), strict=True)
        if attempts.count(self._attempt) < len(attempts) or steps[0] < 0 or steps[-1] >= ENDLESS:
            return None
        if not all(map(lt, steps, islice(steps, 1, None))):
            return None
        columns: dict[str, array[float]] = {}
        gaps: set[str] = set()
        _columns(decoder.names, datas, columns, gaps)
        if decoder.within:
            # In front of what is called the same outside, as `Event.measured` has it.
            _columns(decoder.within, [astuple(data)[decoder.values] for data in datas], columns, gaps)
        if "loss" in gaps:
            return None
        stretch = Stretch(self._attempt, array("q", steps), array("d", times), columns, frozenset(gaps))
        if not bars:
            return [stretch]
        progress = parse_line(piece.split(b"\n")[bars[-1]])
        assert progress is not None, "what is decoded is an event"
        return [stretch, progress] if bars[-1] == lines - 1 else [progress, stretch]


def _columns(names: tuple[str, ...], rows: Any, columns: dict[str, array[float]], gaps: set[str]) -> None:
    """Turn rows into columns, those of numbers."""
    for name, values in zip(names, zip(*map(astuple, rows), strict=True), strict=True):
        if not name:
            continue
        gaps.discard(name)
        try:
            columns[name] = array("d", values)
        except TypeError:
            columns[name] = array("d", [math.nan if value is None else value for value in values])
            gaps.add(name)


def _fields(data: dict[str, Any]) -> Fields:
    return tuple((name, type(value)) for name, value in data.items())


@lru_cache(maxsize=64)
def _decoder(outer: Fields, within: Fields | None) -> _Decoder | None:
    """What decodes metrics with such data; None where their names are too odd."""
    place = next((n for n, (name, _) in enumerate(outer) if name == "values" and within is not None), 0)
    try:
        values = _struct(within or ())
        data = _struct(outer, (place, values) if within is not None else None)
        row = msgspec.defstruct(
            "Metric", [("v", int), ("seq", int), ("attempt", int), ("time", float), ("step", int), ("data", data)],
            forbid_unknown_fields=True, gc=False, tag_field="kind", tag="metric",
        )
        lines = msgspec.json.Decoder(row | _Progress).decode_lines
    except ValueError:
        # A quote or a control character in a name.
        return None
    return _Decoder(lines, _numbers(outer), _numbers(within or ()), place)


def _struct(fields: Fields, other: tuple[int, type] | None = None) -> type:
    """An object with exactly these fields; `other` is the kind of one of them."""
    kinds: list[Any] = [float | None if kind in NUMBERS else kind for _, kind in fields]
    if other is not None:
        kinds[other[0]] = other[1]
    return msgspec.defstruct(
        "Data", [(f"f{number}", kind) for number, kind in enumerate(kinds)], forbid_unknown_fields=True, gc=False,
        rename={f"f{number}": name for number, (name, _) in enumerate(fields)},
    )


def _numbers(fields: Fields) -> tuple[str, ...]:
    return tuple(name if kind in NUMBERS else "" for name, kind in fields)
