"""Leaving the app makes its deletions final; an app that is cut off leaves them to the next."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pty_help import ByteTerminal

from ftui.cli import app
from ftui.runs import control, trash
from ftui.runs.folder import list_runs
from ftui.screens.app import FtuiApp

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


@pytest.fixture
def one_run(own_home: Path) -> Path:
    """The folder of a run that has finished."""
    run = recorded.Recording(own_home, "run", total=20, began=time.time() - 100)
    run.start()
    run.train(recorded.metrics(20, 20), samples=False)
    run.end()
    return run.folder


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[ByteTerminal]:
    """`ftui` in a terminal of its own."""
    opened = ByteTerminal(cwd=tmp_path)
    yield opened
    opened.close()


def delete(terminal: ByteTerminal) -> None:
    """Delete the one run, by keys."""
    terminal.wait_for(b"New run")
    terminal.press("r")
    terminal.wait_for(b"finished")
    terminal.press("d")
    terminal.wait_for(b"Remove the run")
    terminal.press("y")
    terminal.wait_for(b"Deleted run")


def wait_until_freed() -> None:
    deadline = time.monotonic() + 60
    while trash.folder().exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_leaving_removes_what_was_deleted_and_says_so(one_run: Path, terminal: ByteTerminal) -> None:
    delete(terminal)
    assert trash.asides()[0].named == ("run",)
    terminal.press("\x11")
    terminal.wait_for(b"Removed run for good: ")
    terminal.wait_for(b"freed.")
    terminal.child.wait(30)
    wait_until_freed()
    assert list_runs() == []


@pytest.mark.slow
@pytest.mark.parametrize("cut", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_an_app_that_is_cut_off_keeps_them_for_the_next(
    one_run: Path, terminal: ByteTerminal, cut: signal.Signals
) -> None:
    delete(terminal)
    terminal.child.send_signal(cut)
    terminal.child.wait(30)
    (aside,) = trash.undoable()
    assert aside.left
    trash.restore(aside)
    assert one_run.exists()


@pytest.mark.parametrize(("code", "stays"), [(0, False), (1, True)])
def test_an_app_that_breaks_down_leaves_what_can_be_brought_back(
    one_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, stays: bool
) -> None:
    def run(opened: FtuiApp) -> None:
        control.set_aside(list_runs())
        opened._return_code = code

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(FtuiApp, "run", run)
    # Calls that hang in other tests' apps would end this process.
    monkeypatch.setattr(FtuiApp, "settled", lambda opened: True)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert app.open_app() == code
    assert bool(trash.asides()) == stays
    assert ("Removed run for good: " in capsys.readouterr().out) != stays
    if not stays:
        wait_until_freed()
