"""The program in a terminal of bytes: what it sends is kept as it is, so that a test can say what never went out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path


class ByteTerminal:
    """`ftui ARGUMENTS` on a pseudo-terminal."""

    def __init__(self, *arguments: str, cwd: Path, size: tuple[int, int] = (80, 24)) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": ""}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "ftui.cli.main", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
            env={name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")},
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.sent, self._seen = b"", 0

    def press(self, keys: str) -> None:
        """Send keys as the terminal would."""
        os.write(self._ours, keys.encode())

    def wait_for(self, wanted: bytes, seconds: float = 60) -> None:
        """Wait until `wanted` was sent after what the last wait found."""
        deadline = time.monotonic() + seconds
        while (found := self.sent.find(wanted, self._seen)) < 0:
            assert time.monotonic() < deadline, f"{wanted!r} was never sent; it ended with {self.sent[-4000:]!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self.sent += os.read(self._ours, 1 << 16)
        self._seen = found + len(wanted)

    def close(self) -> None:
        """End it and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        os.close(self._ours)
