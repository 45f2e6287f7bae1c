"""NVML in a child process, each answer within a time limit.

A child rather than a thread: a thread that hangs inside the driver keeps the whole process from ending (the kernel
holds it in an uninterruptible call), while a child can be killed and, where even that has no effect, left behind.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ftui
from ftui.hardware.driver import DriverError, DriverHangs

START_SECONDS = 15.0
"""Starting NVML wakes every GPU, which takes a second each where persistence mode is off."""
ANSWER_SECONDS = 5.0
MOST_HANGS = 2
"""After so many calls without an answer, no further one is made: a broken driver hangs in each."""


class Apart:
    """The driver in a child process.  A question that hangs raises DriverHangs and costs one time limit."""

    def __init__(
        self,
        command: Sequence[str] | None = None,
        start_seconds: float = START_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.command = list(command or (sys.executable, "-m", "ftui.hardware.nvml"))
        self.start_seconds, self.answer_seconds = start_seconds, answer_seconds
        self.hangs = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._refusal: DriverError | None = None

    def ask(self, question: str, *where: int) -> Any:
        """The child's answer; see driver.py for the questions."""
        asked = " ".join([question, *map(str, where)])
        if self._refusal:
            raise self._refusal
        if self._child is None:
            self._start()
        assert self._child is not None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps([question, *where]).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise self._lost(f"the driver's process ended at {asked}") from None
        return self._answer(asked, self.answer_seconds)

    def close(self) -> None:
        """Kill the child; one that the kernel won't let go is not waited for."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        child.kill()
        try:
            child.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            # Held by the kernel inside the driver: it ends when the call does, and keeps nothing of ours from ending.
            return

    def _start(self) -> None:
        root = str(Path(ftui.__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        try:
            self._child = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path}, start_new_session=True, bufsize=0,
            )
        except OSError as error:
            self._refusal = DriverError("NoChild", f"no process could be started to ask the driver: {error.strerror}")
            raise self._refusal from None
        try:
            self._answer("start", self.start_seconds)
        except DriverError as error:
            self._refusal = error
            self.close()
            raise

    def _answer(self, asked: str, seconds: float) -> Any:
        try:
            line = self._line(seconds)
        except TimeoutError:
            self.hangs += 1
            self.close()
            error = DriverHangs(asked)
            if self.hangs >= MOST_HANGS:
                self._refusal = error
            raise error from None
        try:
            answer = json.loads(line)
        except ValueError:
            raise self._lost(f"the driver's process ended at {asked}") from None
        if "error" in answer:
            raise DriverError(answer["error"], answer.get("text", ""))
        return answer["value"]

    def _lost(self, text: str) -> DriverError:
        self.close()
        self.hangs += 1
        error = DriverError("Crashed", text)
        if self.hangs >= MOST_HANGS:
            self._refusal = error
        return error

    def _line(self, seconds: float) -> bytes:
        """One line of the child's, empty where it ended; TimeoutError when it takes too long."""
        assert self._child is not None
        assert self._child.stdout is not None
        deadline, line = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError
                chunk = os.read(self._child.stdout.fileno(), 65_536)
                if not chunk:
                    return b""
                line += chunk
        return line
