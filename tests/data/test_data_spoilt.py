"""More than 400 spoilt files: each is told in one sentence or a finding by name, soon, and without filling memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

pytest.importorskip("pyarrow")

from ftui.data import check
from ftui.data.json_reader import read_json_lines
from ftui.errors import FtuiError

from .spoilt import MiB, Spoilt, corpus, large

SECONDS = 20
"""For one file, on a machine that is busy with others; the slowest take about two."""
MOST_GROWTH = 600 * MiB
"""Of the peak over all files: lines of 20 MiB are held as bytes, as text, and as rows, and bombs up to their limit."""


class Late(BaseException):
    """Not an Exception, so that nothing on the way takes it for a fault of the file."""


def _late(number: int, frame: FrameType | None) -> None:
    raise Late


def outcome(path: Path) -> tuple[str, bool]:
    """What a person is told, and whether it names a fault."""
    try:
        found = check(str(path), max_length=2048)
    except FtuiError as error:
        what, hint = error.what, error.hint or ""
    else:
        names = {finding.name for finding in found.findings} - {"few-rows"}
        return ", ".join(sorted(names)), bool(names)
    said = f"{what} {hint}"
    assert what, path
    assert "Traceback" not in said, path
    assert all(letter.isprintable() for letter in said), (path, said)
    return said, True


def look_at(files: Iterator[Spoilt]) -> int:
    """How many files there are; none of them takes long, goes untold, or makes memory grow."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    number, untold, late = 0, [], []
    previous = signal.signal(signal.SIGALRM, _late)
    try:
        for path, told in files:
            number += 1
            signal.alarm(SECONDS)
            try:
                said, is_told = outcome(path)
            except Late:
                late.append(path.name)
                continue
            finally:
                signal.alarm(0)
            if told and not is_told:
                untold.append((path.name, said))
    finally:
        signal.signal(signal.SIGALRM, previous)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(f"{number} files, peak memory grew by {grown / MiB:.0f} MiB")
    assert late == []
    assert untold == []
    assert grown < MOST_GROWTH
    return number


def test_every_spoilt_file_is_told_soon_and_without_filling_memory(tmp_path: Path) -> None:
    assert look_at(corpus(tmp_path)) >= 400


@pytest.mark.slow
def test_long_lines_and_bombs_are_told_soon_and_without_filling_memory(tmp_path: Path) -> None:
    assert look_at(large(tmp_path)) >= 10


@pytest.mark.slow
def test_a_line_of_100_mib_is_one_row_among_others(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "first"}\n{"text": "')
        for _ in range(100):
            file.write(b"a" * MiB)
        file.write(b'"}\n{"text": "last"}\n')
    lengths = [len(row["text"]) for _, row in read_json_lines(path) if isinstance(row, dict)]
    assert lengths == [5, 100 * MiB, 4]
    assert outcome(path)[1]
