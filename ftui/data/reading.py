"""Rows as they stand in a file, one by one with their line numbers; a row that is broken doesn't stop the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, AnyStr

from ftui.data.encoding import head_of, name_of, open_text
from ftui.errors import BadInput
from ftui.units import MiB, gib


class Broken(str):
    """Why a row could not be read, in place of the row."""


RawRow = tuple[int, "dict[str, Any] | Broken"]
"""Line number (row number in columnar files), counted from 1, and the row's columns."""

Reader = Callable[[Path], Iterator[RawRow]]


@dataclass(frozen=True)
class DataFile:
    """One file and how its rows are read. `container` is "json", "jsonl", "csv", "parquet", "arrow", "text" or
    "function" (see `own_loader`), whose `path` is the function's name."""

    path: Path
    container: str
    read: Reader

    @property
    def bytes(self) -> int:
        """Size on disk; a function has none."""
        return 0 if self.container == "function" else self.path.stat().st_size


_BY_SUFFIX = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".tab": "csv",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".txt": "text", ".text": "text", ".md": "text", ".json": "json", ".jsonl": "json", ".ndjson": "json",
}


LONGEST = 32 * MiB
"""Bytes, or characters of text, that one row may take: some eight million tokens.  What is longer is not read: it would
fill memory several times over."""
_PACKED = (".gz", ".zst")
_BEGINNING = 16 * MiB
_LONG_LINE = 60_000
"""Bytes without a line's end, nearly all that is looked at of a file."""


def kind_of_name(path: Path) -> str | None:
    """What the suffix says that a file is: "json" (also lines), "csv", "parquet", "arrow", "text", or None."""
    return _BY_SUFFIX.get(_inner_suffix(path))


def _inner_suffix(path: Path) -> str:
    return (path.with_suffix("").suffix if path.suffix.lower() in _PACKED else path.suffix).lower()


def open_file(path: Path) -> DataFile:
    """Find out what kind of data file `path` is, by its content first and its suffix second.

    Raises BadInput with what to do for everything that isn't one.
    """
    head = head_of(path)
    expected = kind_of_name(path)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        from ftui.data.parquet_reader import read_parquet

        return DataFile(path, "parquet", read_parquet)
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        from ftui.data.arrow_reader import read_arrow

        return DataFile(path, "arrow", read_arrow)
    if expected in ("parquet", "arrow"):
        kind = "a Parquet" if expected == "parquet" else "an Arrow"
        raise BadInput(f"{name_of(path)} is named as {kind} file but isn't one.", "Copy or download it again.")
    if expected == "csv":
        from ftui.data.csv_reader import read_csv

        return DataFile(path, "csv", read_csv)
    if expected == "json" or (start[:1] in (b"{", b"[") and _is_json(start)):
        return _json_file(path, start)
    if expected == "text":
        return DataFile(path, "text", read_text)
    raise BadInput(
        f"{name_of(path)} is of no kind that is known by its name or content.",
        "Name it .json, .jsonl, .csv, .tsv, .parquet, .arrow or .txt, as what it is.",
    )


def _json_file(path: Path, start: bytes) -> DataFile:
    from ftui.data.json_reader import read_json_array, read_json_lines, read_json_object

    if start.startswith(b"["):
        return DataFile(path, "json", read_json_array)
    first, _, rest = start.partition(b"\n")
    if b"\n" not in start and len(start) > _LONG_LINE and _inner_suffix(path) in (".jsonl", ".ndjson"):
        # Its first row is longer than what was looked at; taken for one object, it would be read whole.
        return DataFile(path, "jsonl", read_json_lines)
    if start.startswith(b"{") and not (_parses(first) and rest.strip()):
        return DataFile(path, "json", read_json_object)
    return DataFile(path, "jsonl", read_json_lines)


def _is_json(start: bytes) -> bool:
    """Whether a file of unknown or text suffix begins with a JSON row rather than with a bracket in prose."""
    first = start.partition(b"\n")[0]
    if _parses(first):
        return True
    try:
        json.JSONDecoder().raw_decode(start.decode("utf-8", "replace").lstrip("[ \t\r\n"))
    except (ValueError, RecursionError):
        return False
    return True


def _parses(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def lines_of(file: IO[AnyStr]) -> Iterator[AnyStr | Broken]:
    """The lines with their ends; one that is longer than any row is passed over and told."""
    while line := file.readline(LONGEST + 1):
        yield line if len(line) <= LONGEST or _ends(line) else _passed_over(file, len(line))


def too_long(size: int) -> Broken:
    """What is said of a row of that size."""
    return Broken(f"{gib(size)} long, where a row may have {gib(LONGEST)}")


def _passed_over(file: IO[AnyStr], size: int) -> Broken:
    while more := file.readline(MiB):
        size += len(more)
        if _ends(more):
            break
    return too_long(size)


def _ends(line: str | bytes) -> bool:
    return line[-1:] in ("\n", "\r", b"\n")


def read_text(path: Path) -> Iterator[RawRow]:
    """Plain text: blocks between blank lines are one document each; without any blank line, each line is one.

    A block longer than any row is taken for several.
    """
    with open_text(path) as file:
        by_block = _has_blank_line_inside(file)
    with open_text(path) as file:
        block: list[str] = []
        started, size = 1, 0
        for number, line in enumerate(lines_of(file), 1):
            if isinstance(line, Broken):
                yield number, line
                continue
            text = line.rstrip("\r\n")
            if text.strip():
                if not block:
                    started, size = number, 0
                block.append(text)
                size += len(text)
            if block and (not by_block or not text.strip() or size > LONGEST):
                yield started, {"text": "\n".join(block)}
                block = []
        if block:
            yield started, {"text": "\n".join(block)}


def _has_blank_line_inside(file: IO[str]) -> bool:
    """Whether there is one in the beginning, which tells how the rest is written."""
    seen_text = pending_blank = False
    size = 0
    # In pieces: a line may have no end.
    while line := file.readline(MiB):
        if (size := size + len(line)) > _BEGINNING:
            break
        if line.strip():
            if pending_blank:
                return True
            seen_text = True
        elif seen_text:
            pending_blank = True
    return False
