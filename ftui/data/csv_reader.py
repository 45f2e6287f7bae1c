"""CSV and TSV: the delimiter is found out, quoted fields may hold newlines, and one bad quote loses one row only."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

from ftui.data.encoding import open_text
from ftui.data.reading import Broken, RawRow

_DELIMITERS = ",;\t|"
_MOST_RESTARTS = 20
_FIELD_LIMIT = 1 << 30
_SAMPLE_CHARACTERS = 1 << 20


def read_csv(path: Path) -> Iterator[RawRow]:
    """Rows by the header's names; each is numbered by the line on which it starts."""
    # The module's default of 128 KiB per field is less than one long document.
    csv.field_size_limit(_FIELD_LIMIT)
    with open_text(path) as file:
        lines = list(file)
    tab = path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab"))
    delimiter = "\t" if tab else _find_delimiter(lines)
    start = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    names: list[str] | None = None
    for _ in range(_MOST_RESTARTS):
        again = None
        for number, fields in _records(lines, start, delimiter):
            if isinstance(fields, Broken):
                yield number, fields
                if fields == _NEVER_CLOSED:
                    again = number
                    break
            elif names is None:
                names = _header(fields)
            elif not any(field.strip() for field in fields):
                continue
            elif len(fields) != len(names):
                yield number, Broken(f"{len(fields)} fields where the header has {len(names)}")
            else:
                yield number, dict(zip(names, fields, strict=True))
        if again is None:
            return
        start = again


_NEVER_CLOSED = Broken("a quote is opened and never closed")


def _records(lines: list[str], start: int, delimiter: str) -> Iterator[tuple[int, list[str] | Broken]]:
    """(line, fields) from the line of index `start` on."""
    reader = csv.reader(itertools.islice(lines, start, None), delimiter=delimiter, strict=True)
    while True:
        number = start + reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "end of data" in str(error):
                yield number, _NEVER_CLOSED
                return
            yield number, Broken(f"broken CSV: {error}")
            continue
        if fields:
            yield number, fields


def _find_delimiter(lines: list[str]) -> str:
    """The delimiter that splits the first records into the most columns, all alike."""
    sample, characters = lines[:1], 0
    for line in lines[1:200]:
        characters += len(line)
        # One endless field tells nothing about delimiters that the header doesn't.
        if characters > _SAMPLE_CHARACTERS:
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
