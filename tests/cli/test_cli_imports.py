"""What a command loads: torch and its kin never, numpy only where rows are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "peft", "trl", "datasets", "accelerate", "bitsandbytes"}
BOX = Path(__file__).parents[1] / "hardware" / "boxes" / "t4.json"

SPY = """
import contextlib, io, json, sys
sys.argv = ["ftui", *sys.argv[1:]]
from ftui.cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as out:
    try:
        main()
    except SystemExit as leave:
        assert not leave.code, leave.code
print(json.dumps(sorted({name.partition(".")[0] for name in list(sys.modules)})))
"""

HOME = """
import asyncio, json, sys
from ftui.screens.app import FtuiApp

async def look():
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.5)

asyncio.run(look())
print(json.dumps(sorted({name.partition(".")[0] for name in list(sys.modules)})))
"""


def loaded_by(program: str, *words: str) -> set[str]:
    """The top-level modules that a child process holds when it has run `program`."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "line",
    [
        "--version", "--help", "probe", f"probe --hardware {BOX}", f"plan -m Qwen/Qwen3-8B --hardware {BOX}",
        f"presets --hardware {BOX}", "recipe schema", "recipe check tickets", "runs list", "models list",
        "models show Qwen/Qwen3-8B",
    ],
)
def test_a_command_without_data_loads_neither_torch_nor_numpy(line: str) -> None:
    loaded = loaded_by(SPY, *line.split())
    assert not loaded & (HEAVY | {"numpy", "pandas", "pyarrow", "textual"})


@pytest.mark.parametrize("line", ["data show demo", "plan -m demo --data demo", "launch cpu-demo --dry-run"])
def test_a_command_that_reads_data_loads_no_torch(line: str, own_home: Path) -> None:
    assert not loaded_by(SPY, *line.split()) & HEAVY


@pytest.mark.parametrize("module", ["ftui.screens.app", "ftui.cli.main", "ftui.runs", "ftui.planner", "ftui.recipe"])
def test_an_import_loads_neither_torch_nor_numpy(module: str) -> None:
    program = f"import {module}, json, sys; print(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    assert not loaded_by(program) & (HEAVY | {"numpy"})


def test_the_home_screen_loads_neither_torch_nor_numpy() -> None:
    assert not loaded_by(HOME) & (HEAVY | {"numpy"})


def test_help_and_version_load_one_noun_at_most() -> None:
    assert "pydantic" not in loaded_by(SPY, "--version")
    assert "typer" not in loaded_by(SPY, "--version")
