"""Completing paths of data files while they are typed, and the data files that lie near."""

from __future__ import annotations

import asyncio
import os
from itertools import islice
from pathlib import Path

from textual.suggester import Suggester

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md", ".ndjson", ".gz")
LEAST_TEXT = 10_000
"""Bytes."""
MOST_ENTRIES = 5000
"""A folder with more entries is read no further: the suggestion must come while one types."""


def completed(text: str) -> str | None:
    """The first path that begins with `text`, folders with a slash behind them; None where nothing does."""
    done, comma, part = text.rpartition(",")
    part = part.lstrip()
    lead = f"{done}{comma} " if comma else ""
    if not part:
        return None
    folder, name = os.path.split(part)
    try:
        with os.scandir(Path(folder or ".").expanduser()) as entries:
            fitting = sorted(
                f"{entry.name}/" if entry.is_dir() else entry.name
                for entry in islice(entries, MOST_ENTRIES)
                if entry.name.startswith(name) and entry.name.isprintable()
                and (entry.is_dir() or entry.name.lower().endswith(SUFFIXES))
                and (name.startswith(".") or not entry.name.startswith("."))
            )
    except OSError:
        return None
    longer = [each for each in fitting if each != name]
    return lead + os.path.join(folder, longer[0]) if longer else None


class PathSuggester(Suggester):
    """Suggests data files and folders for the path being typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(completed, value)


def near(folder: Path, most: int = 40) -> list[Path]:
    """Data files in `folder` and its direct folders, newest first; never more than `most`, nothing hidden.

    Plain text is left out where it is too short to be trained on: every project has its requirements.txt.
    """
    found: list[tuple[float, Path]] = []
    for parent in (folder, *(each for each in _entries(folder) if each.is_dir())):
        for path in _entries(parent):
            if path.suffix.lower() == ".md" or not path.name.lower().endswith(SUFFIXES) or not path.is_file():
                continue
            about = path.stat()
            if path.suffix.lower() != ".txt" or about.st_size >= LEAST_TEXT:
                found.append((about.st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)[:most]]


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in islice(folder.iterdir(), MOST_ENTRIES) if not path.name.startswith(".")]
    except OSError:
        return []
