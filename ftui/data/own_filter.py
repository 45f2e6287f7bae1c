"""A test of rows by a function of the user's own, run in a process of its own: `python -m ftui.data.own_filter`.

It is given each row as a dict: its canonical value (see `RowKind`) with "kind", "source" and "line", and keeps those
for which it returns something true.  A line of JSON goes in for each row, and one comes back: {"keep": bool}, or
{"error": str, "asked": whether it had been given a row}.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TextIO

from ftui.data.canonical import Row
from ftui.data.own_loader import function_named
from ftui.errors import BadInput
from ftui.units import plain

_HINT = "Try it by itself: a filter takes one row, a dict, and returns True or False."


class OwnFilter:
    """A context in which the function runs; `keep()` asks it."""

    def __init__(self, reference: str) -> None:
        self._reference = reference

    def __enter__(self) -> Self:
        places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
        # It lives as long as the child, whose last words are read where it dies.
        self._complaints: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ftui.data.own_filter", self._reference],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, env=environment, encoding="utf-8",
        )  # fmt: skip
        return self

    def keep(self, row: Row) -> bool:
        """Raises BadInput, with the function's name and its own message, where it can't be imported or fails."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        said = {**row.value, "kind": row.kind, "source": row.source, "line": row.line}
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(said) + "\n")
            self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            self._child.wait()
            self._complaints.seek(0)
            last = [words.strip() for words in self._complaints if words.strip()] or ["it was killed"]
            raise BadInput(f"{plain(self._reference)} ended before its last row: {plain(last[-1])[:200]}.", _HINT)
        answer = json.loads(line)
        if "error" in answer:
            at = f" on line {row.line} of {plain(row.source)}" if answer.get("asked") else ""
            raise BadInput(f"{answer['error']}{at}.", _HINT)
        return bool(answer["keep"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._complaints):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def _serve(reference: str, rows: TextIO, out: TextIO) -> None:
    """The child's side: what the function prints goes to stderr, its verdicts alone to `out`."""

    def say(**answer: object) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    name, row = plain(reference), None
    try:
        function = function_named(reference)
        for row in rows:
            say(keep=bool(function(json.loads(row))))
    except BadInput as error:
        say(error=error.what.rstrip("."))
    except Exception as error:  # noqa: BLE001 - a user's function may fail in any way, and its own message is what helps
        message = plain(str(error)).replace("\n", " ")[:300]
        say(error=f"The filter {name} failed: {type(error).__name__}: {message}", asked=row is not None)


if __name__ == "__main__":
    _out, sys.stdout = sys.stdout, sys.stderr
    _serve(sys.argv[1], sys.stdin, _out)
