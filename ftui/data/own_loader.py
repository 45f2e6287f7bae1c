"""Rows from a function of the user's own, `module:function` or `file.py:function`, run in a process of its own.

Neither the app, nor the command line, nor a job imports the user's code: `python -m ftui.data.own_loader` does, and
writes a line of JSON for every row, {"row": {...}}, or {"error": {"what", "hint"}} at the end.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TextIO

from ftui.data.reading import Broken, DataFile, RawRow
from ftui.errors import BadInput
from ftui.units import plain

_NAME = re.compile(r"(?P<module>.+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")


def is_loader(path: str) -> bool:
    """Whether `path` names a function rather than a file.  A name with a slash in it is a hub dataset's, unless .py."""
    return is_reference(path) and not os.path.lexists(path)


def is_reference(text: str) -> bool:
    """Whether `text` is written as a function's name is: module:function, or file.py:function."""
    return bool(_NAME.fullmatch(text))


def loader(reference: str) -> DataFile:
    """The function as a file whose rows can be read."""
    return DataFile(Path(reference), "function", read_own)


def read_own(path: Path) -> Iterator[RawRow]:
    """The rows that the function yields, numbered from 1; one that is no object is a broken one.

    Raises BadInput, with the function's name and its own message, where it can't be imported or fails.
    """
    reference = str(path)
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ftui.data.own_loader", reference],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=environment, encoding="utf-8",
        )  # fmt: skip
        try:
            assert child.stdout is not None
            ended = yield from _rows(child.stdout)
            if not ended:
                child.wait()
                complaints.seek(0)
                said = [line.strip() for line in complaints if line.strip()] or ["it was killed"]
                raise BadInput(f"{plain(reference)} ended before its last row: {plain(said[-1])[:200]}.", _HINT)
        finally:
            # Also where only the first rows were asked for.
            child.kill()
            child.wait()
            with contextlib.suppress(OSError):
                child.stdout.close()  # type: ignore[union-attr]


_HINT = "Try it by itself: a loader takes no argument and yields dicts."


def _rows(lines: IO[str]) -> Generator[RawRow, None, bool]:
    """Yields the rows; returns whether the function came to its end."""
    for number, line in enumerate(lines, 1):
        answer = json.loads(line)
        if "error" in answer:
            raise BadInput(answer["error"], _HINT)
        if "end" in answer:
            return True
        row = answer["row"]
        yield number, row if isinstance(row, dict) else Broken(row)
    return False


def _serve(reference: str, out: TextIO) -> None:
    """The child's side: what the function prints goes to stderr, the rows alone to `out`."""

    def say(**answer: Any) -> None:
        out.write(json.dumps(answer) + "\n")

    name = plain(reference)
    try:
        for row in function_named(reference)():
            if not isinstance(row, dict):
                say(row=f"a {type(row).__name__} where a dict should be")
                continue
            try:
                say(row=row)
            except (TypeError, ValueError, RecursionError) as error:
                say(row=f"no JSON: {error}")
    except BadInput as error:
        say(error=error.what)
    except Exception as error:  # noqa: BLE001 - a user's function may fail in any way, and its own message is what helps
        message = plain(str(error)).replace("\n", " ")[:300]
        say(error=f"The loader {name} failed: {type(error).__name__}: {message}")
    else:
        say(end=True)
    out.flush()


def function_named(reference: str) -> Any:
    """The function, imported here: for a child process only.  Raises BadInput where there is none."""
    module, _, name = reference.rpartition(":")
    function = getattr(_module(module), name, None)
    if not callable(function):
        raise BadInput(f"{plain(module)} has no function {plain(name)}.")
    return function


def _module(name: str) -> ModuleType:
    if not name.endswith(".py"):
        # The working folder comes last: a file there that is named like a module must not be taken for it.
        sys.path.append(os.getcwd())
        return importlib.import_module(name)
    file = Path(name).expanduser()
    if not file.is_file():
        raise BadInput(f"There is no file {plain(str(file.absolute()))}.")
    spec = importlib.util.spec_from_file_location(f"ftui_loader_{file.stem}", file)
    # A file's name that ends in .py always has both.
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    _out, sys.stdout = sys.stdout, sys.stderr
    _serve(sys.argv[1], _out)
