"""A real terminal for the journeys: the program under tmux, driven by keys and read as a screen of text."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

OF_ANOTHER_TERMINAL = ("TMUX", "TMUX_PANE", "COLUMNS", "LINES")
"""What a test process may have set or inherited, and what would be taken for this terminal's."""

FTUI = str(Path(sys.executable).with_name("ftui"))


class Terminal:
    """One tmux server with one window, in which one command runs; waits have a limit and show what they saw."""

    def __init__(self, command: list[str], environment: dict[str, str], size: tuple[int, int], cwd: Path) -> None:
        self.socket = f"ftui-{uuid.uuid4().hex[:8]}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OF_ANOTHER_TERMINAL},
            "TERM": "screen-256color", **environment,
        }
        columns, rows = size
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(cwd),
            f"{shlex.join(command)}; echo; echo [left with code $?]; exec sleep 1000",
        )

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.socket, *arguments], env=self.environment, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self) -> str:
        """What stands on the screen now, as rows of text."""
        return self._tmux("capture-pane", "-p")

    def whole(self) -> str:
        """What stands on the screen and above it, as far back as tmux remembers."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def keys(self, *keys: str, pause: float = 0.15) -> None:
        """Press keys by tmux's names ("Enter", "Down", "C-q"), with a person's pause between them."""
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(pause)

    def type(self, text: str) -> None:
        """Type text as it stands."""
        self._tmux("send-keys", "-l", text)
        time.sleep(0.3)

    def wait_for(self, pattern: str, timeout: float = 30) -> str:
        """Wait until the regular expression `pattern` stands on the screen, and return the screen."""
        return self.wait_until(lambda screen: re.search(pattern, screen) is not None, timeout, f"/{pattern}/")

    def wait_until(self, holds: Callable[[str], bool], timeout: float, what: str) -> str:
        """Wait until `holds(screen)`; fails with the screen as it was last seen."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if holds(screen := self.screen()):
                return screen
            time.sleep(0.2)
        pytest.fail(f"{what} did not show within {timeout:.0f} s; the screen was:\n{self.screen()}")

    def name_data(self, file: str) -> None:
        """From Home to the Data step, on the embedded model, and name `file` there."""
        self.wait_for(r"New run")
        self.keys("n")
        self.wait_for(r"● Hardware(.|\n)*of memory for the run")
        self.keys("Enter")
        self.wait_for(r"● Model(.|\n)*demo")
        self.type("demo")
        self.keys("Enter")
        self.wait_for(r"1\.15 M")
        self.keys("C-n")
        self.wait_for(r"● Data")
        self.type(file)
        self.keys("Enter")

    def pids(self) -> list[int]:
        """The process that tmux started, and its children."""
        shell = int(self._tmux("list-panes", "-F", "#{pane_pid}").split()[0])
        children = subprocess.run(["pgrep", "-P", str(shell)], capture_output=True, text=True).stdout.split()
        return [shell, *map(int, children)]

    def close(self) -> None:
        """End tmux and what runs in it, as a closed terminal does."""
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], env=self.environment, capture_output=True)


@pytest.fixture(autouse=True)
def no_token_stays(planted: dict[str, str]) -> None:
    """Every journey is made with tokens about, which are searched for when it is over."""


@pytest.fixture
def open_terminal(own_home: Path, tmp_path: Path, planted: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """A function that opens a terminal on `ftui ARGUMENTS`, with this test's own home; closed when the test ends."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    opened: list[Terminal] = []

    def open_(*arguments: str, size: tuple[int, int] = (80, 24), **environment: str) -> Terminal:
        terminal = Terminal([FTUI, *arguments], environment, size, tmp_path)
        opened.append(terminal)
        return terminal

    yield open_
    shown = ""
    for terminal in opened:
        with contextlib.suppress(AssertionError):
            # Some journeys close their terminal themselves.
            shown += terminal.whole()
        terminal.close()
    found = [name for name, token in planted.items() if token in shown]
    assert not found, f"{found} stood on the screen"


@pytest.fixture
def ftui(own_home: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs `ftui ARGUMENTS` as a command and returns what it printed."""

    def run(*arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run([FTUI, *arguments], capture_output=True, text=True, timeout=timeout, cwd=tmp_path)

    return run
