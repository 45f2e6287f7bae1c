"""Nothing that stands in rows reaches the terminal raw: the bytes that the program writes are looked at."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_help import ByteTerminal

from ftui import recipe
from ftui.screens.memory import remember

if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

HOSTILE = "\x1b]52;c;aGk=\x07 \x1b[31;41mred \x1bP+q\x1b\\ \x9b31m \u202egnp.exe\u2066 \u200fend"
FORBIDDEN = {
    "a clipboard write": b"\x1b]52;", "a colour of the row's own": b"\x1b[31;41m", "a device string": b"\x1bP+q",
    "a C1 control": "\x9b".encode(), "an override of direction": "\u202e".encode(), "an isolate": "\u2066".encode(),
    "a direction mark": "\u200f".encode(),
}  # fmt: skip

Open = Callable[..., ByteTerminal]


@pytest.fixture
def open_bytes(tmp_path: Path) -> Iterator[Open]:
    """A function that runs ftui on a pseudo-terminal until the test ends."""
    opened: list[ByteTerminal] = []

    def open_(*arguments: str, size: tuple[int, int] = (80, 24)) -> ByteTerminal:
        opened.append(ByteTerminal(*arguments, cwd=tmp_path, size=size))
        return opened[-1]

    yield open_
    for terminal in opened:
        terminal.close()


def harmless(sent: bytes) -> None:
    assert [name for name, raw in FORBIDDEN.items() if raw in sent] == []


@pytest.mark.slow
def test_rows_findings_and_names_never_steer_the_terminal(open_bytes: Open, tmp_path: Path) -> None:
    rows = [{"prompt": f"{HOSTILE} {n}", "completion": f"say {n} {HOSTILE}"} for n in range(60)]
    path = tmp_path / "a\x1b]52;c;aGk=\x07\u202e.jsonl"
    path.write_text("\n".join([*map(json.dumps, [*rows, rows[0]]), json.dumps({HOSTILE: HOSTILE}), HOSTILE]))
    asked = {"model": {"base": "demo"}, "data": {"sources": [{"path": str(path)}]}}
    draft = recipe.parse(json.dumps(asked), "test")
    kept = {"step": "data", "furthest": 2, "preset": None, "option": None, "draft": recipe.write(draft)}
    remember("wizard.json", kept)
    terminal = open_bytes(size=(120, 40))
    terminal.wait_for(b"Go on where you left")
    terminal.press("\r")
    terminal.wait_for(b"check-up")
    terminal.wait_for(b"warnings")
    terminal.press("c")
    terminal.wait_for(b"strip_control")
    terminal.press("\x1b[B\x1b[B\x1b[B")
    terminal.press("d")
    terminal.wait_for(b"secrets too")
    harmless(terminal.sent)


def test_answers_that_are_rated_never_steer_the_terminal(open_bytes: Open, tmp_path: Path) -> None:
    rows = [{"prompt": f"{HOSTILE} {n}", "answers": [f"good {HOSTILE}", f"bad {HOSTILE}"]} for n in range(3)]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, rows)))
    terminal = open_bytes("data", "rate", "answers.jsonl", "--rater", f"ann{HOSTILE}", "--out", "pairs.jsonl")
    terminal.wait_for(b"Which is better")
    terminal.press("1")
    terminal.wait_for(b"1 of 3 rated")
    terminal.press("t")
    terminal.wait_for(b"2 of 3 rated")
    terminal.press("2")
    terminal.wait_for(b"Every pair is rated")
    terminal.press("\x11")
    terminal.child.wait(30)
    harmless(terminal.sent)
