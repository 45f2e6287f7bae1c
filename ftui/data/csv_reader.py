"""CSV and TSV: the delimiter is found out, quoted fields may hold newlines, and one bad quote loses one row only."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ftui.data.encoding import open_text
from ftui.data.reading import LONGEST, Broken, RawRow, lines_of

_DELIMITERS = ",;\t|"
_MOST_RESTARTS = 20
_SAMPLE_CHARACTERS = 1 << 20


def read_csv(path: Path) -> Iterator[RawRow]:
    """Rows by the header's names; each is numbered by the line on which it starts."""
    # The module's default of 128 KiB per field is less than one long document.
    csv.field_size_limit(LONGEST)
    tab = path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab"))
    delimiter = "\t" if tab else _find_delimiter(path)
    names: list[str] | None = None
    start = 0
    for _ in range(_MOST_RESTARTS):
        again = None
        for number, fields in _records(path, start, delimiter):
            if isinstance(fields, Broken):
                yield number, fields
                if fields == _NEVER_CLOSED:
                    again = number
                    break
            elif not any(field.strip() for field in fields):
                continue
            elif names is None:
                names = _header(fields)
            elif len(fields) != len(names):
                yield number, Broken(f"{len(fields)} fields where the header has {len(names)}")
            else:
                yield number, dict(zip(names, fields, strict=True))
        if again is None:
            return
        start = again


_NEVER_CLOSED = Broken("a quote is opened and never closed")


class _TooLong(Exception):
    """A line that is longer than any row: why, as its one argument."""


class _Lines:
    """A file's lines, counted, from the one of index `start` on; after one that raised _TooLong they go on."""

    def __init__(self, file: IO[str], start: int) -> None:
        self._lines = itertools.islice(lines_of(file), start, None)
        self.number = start

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if isinstance(line, Broken):
            raise _TooLong(line)
        return line


def _records(path: Path, start: int, delimiter: str) -> Iterator[tuple[int, list[str] | Broken]]:
    """(line, fields) from the line of index `start` on."""
    with open_text(path) as file:
        lines = _Lines(file, start)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            number = lines.number + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except _TooLong as error:
                yield lines.number, error.args[0]
            except csv.Error as error:
                # A field grows beyond all bounds where its quote is never closed in a large file.
                if "end of data" in str(error) or "field limit" in str(error):
                    yield number, _NEVER_CLOSED
                    return
                yield number, Broken(f"broken CSV: {error}")
            else:
                if fields:
                    yield number, fields


def _find_delimiter(path: Path) -> str:
    """The delimiter that splits the first records into the most columns, all alike."""
    sample: list[str] = []
    characters = 0
    with open_text(path) as file:
        for line in itertools.islice(lines_of(file), 200):
            characters += len(line) if sample else 0
            # One endless field tells nothing about delimiters that the header doesn't.
            if isinstance(line, Broken) or characters > _SAMPLE_CHARACTERS:
                break
            sample.append(line)

    def score(delimiter: str) -> tuple[float, int]:
        try:
            records = [fields for fields in itertools.islice(csv.reader(sample, delimiter=delimiter), 50) if fields]
        except csv.Error:
            return (0.0, 0)
        if not records or len(records[0]) < 2:
            return (0.0, 0)
        columns = len(records[0])
        return (sum(len(fields) == columns for fields in records) / len(records), columns)

    return max(_DELIMITERS, key=score)


def _header(fields: list[str]) -> list[str]:
    """Column names: unnamed ones are numbered, repeated ones are told apart."""
    names: dict[str, None] = {}
    for index, field in enumerate(fields):
        name = field.strip() or f"unnamed {index + 1}"
        copy, base = 1, name
        while name in names:
            copy += 1
            name = f"{base} {copy}"
        names[name] = None
    return list(names)
