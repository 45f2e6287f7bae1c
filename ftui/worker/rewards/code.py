"""The share of a row's tests that an answer's Python passes, each run in a process of its own, with limits.

This executes what a model wrote.  The limits (time, memory, files, no inherited environment, and no network where the
system lets one drop it) hold back accidents; they are no sandbox against ill will.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from ftui.worker.rewards import Columns, Place, Score, column

SECONDS = 10.0
"""Wall-clock time of one test; its processor time is held to the same."""
MEMORY_BYTES = 1 << 30
WRITTEN_BYTES = 16 << 20
PROCESSES = 4
"""Tests that run at once, at most."""

_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)

RUNNER = """
import json, os, resource, sys
for what, most in ((resource.RLIMIT_AS, {memory}), (resource.RLIMIT_CPU, {seconds}), (resource.RLIMIT_FSIZE, {written}),
                   (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64)):
    resource.setrlimit(what, (most, most))
asked = json.load(sys.stdin)
said = os.dup(1)
nowhere = os.open(os.devnull, os.O_RDWR)
for stream in (0, 1, 2):
    os.dup2(nowhere, stream)
names = {{"__name__": "__main__"}}
exec(compile(asked["code"], "answer", "exec"), names)
exec(compile(asked["test"], "test", "exec"), names)
os.write(said, asked["word"].encode())
"""
"""What the child runs: it says its word only after the last line of the test, so that an early exit passes nothing."""


def build(argument: str, place: Place) -> Score:
    """`argument` is the column of the tests: one text of Python, or a list of them; a row without is not scored."""

    def score(completions: Sequence[str], columns: Columns) -> list[float | None]:
        given = zip(completions, column(columns, argument, "code"), strict=True)
        with ThreadPoolExecutor(min(PROCESSES, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda pair: passed(*pair), given))

    return score


def passed(completion: str, tests: Any) -> float | None:
    """The share of `tests` that the completion's code passes; None where there are none."""
    every = [tests] if isinstance(tests, str) else list(tests or ())
    if not every:
        return None
    code = code_of(completion)
    return sum(runs(code, str(test)) for test in every) / len(every)


def code_of(completion: str) -> str:
    """The last fenced block of Python in an answer, else the whole of it."""
    blocks = _BLOCK.findall(completion)
    return str(blocks[-1]) if blocks else completion


def runs(code: str, test: str, seconds: float = SECONDS) -> bool:
    """Whether `code` and then `test` run to their end, in a new process with nothing of this one's environment."""
    word = secrets.token_hex(16)
    runner = RUNNER.format(memory=MEMORY_BYTES, seconds=max(1, round(seconds)), written=WRITTEN_BYTES)
    asked = json.dumps({"code": code, "test": test, "word": word}).encode()
    with tempfile.TemporaryDirectory(prefix="ftui-code-") as folder, subprocess.Popen(
        [*_without_network(), sys.executable, "-I", "-c", runner], cwd=folder, start_new_session=True,
        env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            said, _ = child.communicate(asked, seconds)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            return False
        finally:
            _end(child.pid)
    return said == word.encode()


def _end(group: int) -> None:
    """End a test with whatever it started; what has left its session escapes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@cache
def _without_network() -> tuple[str, ...]:
    """The command before a test that gives it a network of its own, with nothing in it; empty where that is refused."""
    unshare = shutil.which("unshare")
    command = (unshare or "", "--map-root-user", "--net", "--")
    if unshare is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        return ()
    return command
