"""From what was given to canonical rows: files found, format chosen, rows converted one by one, bad ones told apart."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftui.data.canonical import Row, RowError, make_row
from ftui.data.convert import FORMATS
from ftui.data.document import BadRow, Detected, RowKind, Source
from ftui.data.encoding import conversion_hint, name_of
from ftui.data.folders import files_in, is_pattern, matching
from ftui.data.formats import SAMPLE_ROWS, choose, columns_of
from ftui.data.given import SourceLike
from ftui.data.hold_out import HoldOut
from ftui.data.images import found
from ftui.data.own_loader import is_loader, loader
from ftui.data.reading import Broken, DataFile, RawRow, open_file
from ftui.errors import BadInput
from ftui.units import plain

TOPICS = ("topic", "category", "subject", "domain", "task_type", "skill")
"""Names of columns that say what a row is about."""
_SNIFFED_ROWS = 5 * SAMPLE_ROWS
"""How many rows are looked through at most for a sample of good ones."""


@dataclass(frozen=True)
class Loaded:
    """A source whose format is known; `rows()` reads it anew each time."""

    given: SourceLike
    files: tuple[DataFile, ...]
    format: Detected
    alternatives: tuple[Detected, ...]
    available_columns: tuple[str, ...]
    order: str | None = None
    """The column by whose numbers rows are ordered."""
    hold_out: HoldOut | None = None
    """The column by which rows are held out."""
    topic: str | None = None
    """The column that says what a row is about."""

    @property
    def kind(self) -> RowKind:
        """The canonical kind of its rows."""
        return FORMATS[self.format.format].kind

    @property
    def bytes(self) -> int:
        """Size of its files on disk."""
        return sum(file.bytes for file in self.files)

    def rows(self) -> Iterator[Row | BadRow]:
        """Canonical rows in file order, up to the source's limit; what can't be one comes as a BadRow."""
        limit = self.given.limit
        good = 0
        format = FORMATS[self.format.format]
        columns = self.format.columns
        for file in self.files:
            source = file.path.name if len(self.files) > 1 else self.given.path
            for line, raw in file.read(file.path):
                if isinstance(raw, Broken):
                    yield BadRow(source=source, line=line, reason=raw)
                    continue
                try:
                    value = format.convert(raw, columns)
                    if "images" in value:
                        value["images"] = found(value["images"], file.path.parent)
                    row = make_row(source, line, format.kind, value, self._order(raw), self._task(raw), self._by(raw))
                except RowError as error:
                    yield BadRow(source=source, line=line, reason=plain(str(error)))
                    continue
                except RecursionError:
                    yield BadRow(source=source, line=line, reason="nested too deeply")
                    continue
                yield row if self.topic is None else replace(row, topic=self._topic(raw))
                good += 1
                if limit is not None and good >= limit:
                    return

    def _order(self, raw: dict[str, Any]) -> float:
        if self.order is None:
            return 0.0
        try:
            return float(raw[self.order])
        except (KeyError, TypeError, ValueError):
            raise RowError(f"its column {self.order}, by which rows are ordered, holds no number") from None

    def _task(self, raw: dict[str, Any]) -> str | None:
        """The name of a row's task: its source's, or what stands in the column that the source names."""
        if (column := column_in(self.given.task)) is None:
            return self.given.task
        name = raw.get(column)
        if not isinstance(name, str | int) or not str(name).strip():
            raise RowError(f"its column {column} names no task")
        return sys.intern(str(name).strip())

    def _by(self, raw: dict[str, Any]) -> str | float | None:
        by = self.hold_out.of(raw) if self.hold_out else None
        return sys.intern(by) if isinstance(by, str) else by

    def _topic(self, raw: dict[str, Any]) -> str | None:
        name = raw.get(self.topic or "")
        return sys.intern(name.strip()) if isinstance(name, str) and name.strip() else None

    def described(self, rows: int) -> Source:
        """The source as the profile shows it, with `rows` good ones."""
        return Source(
            ref=self.given.path,
            path=str(self.files[0].path),
            rows=rows,
            bytes=self.bytes,
            format=self.format.format,
            confidence=self.format.confidence,
            columns=self.format.columns,
            alternatives=self.alternatives,
            available_columns=self.available_columns,
        )


def column_in(text: str | None) -> str | None:
    """NAME of a setting that says column:NAME, None of any other."""
    return text.removeprefix("column:").strip() if text and text.startswith("column:") else None


def load(given: SourceLike, order: str | None = None, hold_out: HoldOut | None = None) -> Loaded:
    """Find a source's files and its format; with `order`, each row brings along the number in that column, with
    `hold_out` what it is held out by.

    Raises BadInput, in one sentence with what to do, where there are no files, no rows, or no format that fits.
    """
    if not given.path.strip():
        raise BadInput("No data file is named.", "Give a file (JSON, JSONL, CSV, Parquet, text) or a hub dataset.")
    own = is_loader(given.path)
    files = (loader(given.path),) if own else tuple(open_file(path) for path in find_files(given))
    sample: list[dict[str, Any]] = []
    broken: list[tuple[DataFile, int, Broken]] = []
    for file, line, raw in itertools.islice(_raw_rows(files), _SNIFFED_ROWS):
        if isinstance(raw, Broken):
            broken.append((file, line, raw))
        else:
            sample.append(raw)
        if len(sample) >= SAMPLE_ROWS:
            break
    if not sample:
        raise _no_rows(files, broken)
    format, alternatives = choose(sample, name=given.format, columns=given.columns, source=given.path)
    if FORMATS[format.format].kind == "text" and len(files) == 1:
        _refuse_wrong_encoding(files[0], sample, format.columns["text"])
    columns = columns_of(sample)
    if hold_out and hold_out.column not in columns:
        raise BadInput(
            f"{plain(given.path)} has no column {plain(hold_out.column)}, by which rows are to be held out.",
            f"It has: {', '.join(map(plain, columns))[:300]}. See data.hold_out.",
        )
    used = format.columns.values()
    topic = next((name for name in columns if name.strip().lower() in TOPICS and name not in used), None)
    return Loaded(given, files, format, alternatives, tuple(columns), order, hold_out, topic)


def find_files(given: SourceLike) -> list[Path]:
    """The local files of a source: itself, a folder's or a pattern's, the demo data, or a hub dataset's, downloaded."""
    if given.path == "demo" and not Path("demo").exists():
        from ftui.data import demo_path

        return [demo_path()]
    from ftui.data.hub import is_hub_dataset

    if is_hub_dataset(given.path):
        from ftui.data.hub import fetch_dataset

        return fetch_dataset(
            given.path, split=given.split, config=given.config, revision=given.revision,
            rows=given.limit if given.streaming else None,
        )
    # Unlike Path.expanduser, it takes the home of a user that there isn't for a name.
    path = Path(os.path.expanduser(given.path))
    if is_pattern(str(path)):
        return matching(str(path))
    return files_in(path, given.split) if os.path.isdir(path) else [path]


def refuse_if_nothing_usable(given: SourceLike, good: int, bad: list[BadRow], bad_count: int) -> None:
    """Raises BadInput where every row of a source is bad; the first one's reason stands for all."""
    if good:
        return
    if bad:
        path = Path(given.path)
        if sum("not UTF-8" in row.reason for row in bad) * 2 > len(bad):
            raise BadInput(f"{plain(given.path)} is not UTF-8.", conversion_hint(path, "WINDOWS-1252"))
        raise BadInput(
            f"None of the {bad_count} rows of {plain(given.path)} can be used.",
            f"The first is at line {bad[0].line}: {plain(bad[0].reason)}.",
        )
    raise BadInput(f"{plain(given.path)} has no rows.", "It must hold at least one.")


def _raw_rows(files: tuple[DataFile, ...]) -> Iterator[tuple[DataFile, int, dict[str, Any] | Broken]]:
    def rows(file: DataFile) -> Iterator[tuple[DataFile, int, dict[str, Any] | Broken]]:
        raw: RawRow
        for raw in file.read(file.path):
            yield file, *raw

    return itertools.chain.from_iterable(map(rows, files))


def _no_rows(files: tuple[DataFile, ...], broken: list[tuple[DataFile, int, Broken]]) -> BadInput:
    name = name_of(files[0].path)
    if not broken:
        return BadInput(f"{name} has no rows.", "It must hold at least one.")
    file, line, reason = broken[0]
    if sum("not UTF-8" in why for _, _, why in broken) * 2 > len(broken):
        return BadInput(f"{name_of(file.path)} is not UTF-8.", conversion_hint(file.path, "WINDOWS-1252"))
    return BadInput(f"No row of {name} can be read.", f"The first is at line {line}: {plain(reason)}.")


def _refuse_wrong_encoding(file: DataFile, sample: list[dict[str, Any]], column: str) -> None:
    from ftui.data.encoding import broken_text

    texts = [text for row in sample if isinstance(text := row.get(column), str) and not text.isascii()]
    if texts and sum("not UTF-8" in (broken_text(text) or "") for text in texts) * 2 > len(texts):
        raise BadInput(f"{name_of(file.path)} is not UTF-8.", conversion_hint(file.path, "WINDOWS-1252"))
