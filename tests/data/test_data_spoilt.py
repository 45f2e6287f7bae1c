"""More than 400 spoilt files: each is told in one sentence or a finding by name, soon, and without filling memory."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

pytest.importorskip("pyarrow")

from ftui.data import check
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


PEAK = """
import sys
from ftui.data import check
from ftui.errors import FtuiError
try:
    said = ", ".join(finding.name for finding in check(sys.argv[1], max_length=2048, deep=True).findings)
except FtuiError as error:
    said = str(error)
print(said)
# Unlike getrusage's, this peak begins with the program, not with what the process was forked from.
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")))
"""
START, ROW, END = b'{"text": "first"}\n', b'{"text": "', b'"}\n{"text": "last"}\n'
LONG: dict[str, tuple[bytes, bytes, bytes, str]] = {
    "one line.jsonl": (START + ROW, b"a" * MiB, END, "bad-rows"),
    "many words.jsonl": (START + ROW, b"five words of no sense " * (MiB // 23), END, "bad-rows"),
    "never closed.jsonl": (START + ROW, b"a" * MiB, b"", "bad-rows"),
    "numbers.jsonl": (START + b'{"text": [', b"1," * (MiB // 2), b"1]}\n", "bad-rows"),
    "nested.jsonl": (START + b'{"text": ', b"[" * MiB, b"\n", "bad-rows"),
    "in a list.json": (b'[{"text": "first"},\n' + ROW, b"a" * MiB, b'"}]', "bad-rows"),
    "one object.json": (ROW, b"a" * MiB, b'"}', "where a row may have"),
    "nested.json": (b"", b"[" * MiB, b"", "nested too deeply"),
    "a field.csv": (b"text\nfirst\n", b"a" * MiB, b"\nlast\n", "bad-rows"),
    "an open quote.csv": (b'text\nfirst\n"', (b"words " * 200 + b"\n") * (MiB // 1201), b"", "bad-rows"),
    "a line.txt": (b"first\n", b"a" * MiB, b"\nlast\n", "bad-rows"),
    "zeros.jsonl": (START, bytes(MiB), b"\n", "is a binary file"),
}
MOST_PEAK = 600 * MiB
"""Of a process that checks any of them, itself included: a row of 32 MiB may stand there as bytes, text, and values."""


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_what_is_100_mib_long_is_told_and_takes_no_more_memory_than_a_long_row(tmp_path: Path, name: str) -> None:
    start, piece, end, told = LONG[name]
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(start)
        for _ in range(100):
            file.write(piece)
        file.write(end)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    said, peak = done.stdout.strip().rsplit("\n", 1)
    assert told in said
    assert int(peak) < MOST_PEAK, f"{int(peak) / MiB:.0f} MiB"
    path.unlink()
