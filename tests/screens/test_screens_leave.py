"""Leaving while a call is still under way: the process ends as it was told to, and soon."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

BUSY_IN_RUST = """
import asyncio, time
from ftui.recipe import Recipe
from ftui.screens.background import attempt

text = '{"model": {"name": "demo"}}'

def busy():
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            Recipe.model_validate_json(text)
        except ValueError:
            pass

async def leave_early():
    calls = [asyncio.create_task(attempt(busy)) for _ in range(3)]
    await asyncio.sleep(0.1)

asyncio.run(leave_early())
raise SystemExit(7)
"""

HUNG = """
import sys, time
from textual.app import App
from ftui.cli import app
from ftui.screens.app import FtuiApp
from ftui.screens.background import attempt

def open_and_hang(self):
    self.run_worker(attempt(time.sleep, 60))
    self.set_timer(0.1, lambda: self.exit(return_code=5))

FtuiApp.on_mount = open_and_hang
FtuiApp.run = lambda self: App.run(self, headless=True)
sys.stdin.isatty = sys.stdout.isatty = lambda: True
sys.exit(app.open_app())
"""


def left(program: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """What a child that runs `program` ends with, and after how many seconds."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=120, env=os.environ | {"TERM": "xterm-256color"},
    )
    return done, time.monotonic() - began


@pytest.mark.parametrize("turn", range(3))
def test_a_call_in_compiled_code_does_not_take_the_leaving_process_down(turn: int) -> None:
    done, _ = left(BUSY_IN_RUST)
    assert (done.returncode, done.stderr) == (7, "")


def test_a_call_that_hangs_does_not_keep_the_app_from_being_left() -> None:
    done, seconds = left(HUNG)
    assert done.returncode == 5, done.stderr
    assert seconds < 40
