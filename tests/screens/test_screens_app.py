"""The app's shell: what its process imports, its theme, its keys, its commands."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
from screens_help import text, until
from textual.binding import Binding
from textual.dom import DOMNode

from ftui import paths, screens
from ftui.screens.app import FtuiApp
from ftui.screens.background import Problem, attempt
from ftui.screens.memory import recall, remember

TAKEN = {"ctrl+b": "tmux", "ctrl+a": "screen", "ctrl+p": "VS Code"}

WALK = """
import asyncio, sys
from ftui.screens.app import FtuiApp

async def walk():
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        for _ in range(1500):
            await pilot.pause(0.02)
            if getattr(getattr(app.screen, "state", None), "layout", None):
                break
        assert app.screen.state.layout, app.screen.state.problems
        for step in ("model", "data", "goal", "plan", "settings", "review"):
            await app.screen.go(step)
            for _ in range(10):
                await pilot.pause(0.02)

asyncio.run(walk())
heavy = {"torch", "transformers", "peft", "trl", "datasets", "accelerate", "bitsandbytes", "numpy", "pandas", "pyarrow"}
print("imported:", *sorted(heavy & set(sys.modules)))
"""


def test_the_whole_wizard_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("imported:"), done.stdout


def test_the_first_paint_imports_no_document() -> None:
    late = "{'pydantic', 'typer', 'ruamel', 'huggingface_hub'}"
    code = f"import ftui.screens.app, ftui.screens.home, sys; print(*sorted({late} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


async def test_the_theme_is_kept_between_starts() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        app.theme = "nord"
        await pilot.pause()
    assert FtuiApp().theme == "nord"


def test_a_theme_that_is_gone_or_a_broken_file_gives_the_default() -> None:
    remember("app.json", {"theme": "no-such-theme"})
    assert FtuiApp().theme == "textual-dark"
    paths.state_file("app.json").write_text("{broken")
    assert recall("app.json") == {}
    assert FtuiApp().theme == "textual-dark"


async def test_no_color_takes_the_theme_without_colours_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = FtuiApp()
    async with app.run_test() as pilot:
        await pilot.pause()
        assert app.theme == "ansi-dark"
    monkeypatch.delenv("NO_COLOR")
    assert FtuiApp().theme == "textual-dark"


def bindings() -> list[tuple[str, Binding]]:
    """Every binding that a class of ftui's own declares, with the class."""
    found: list[tuple[str, Binding]] = []
    for module in pkgutil.walk_packages(screens.__path__, f"{screens.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, DOMNode) and value.__module__ == module.name:
                declared: Any = value.__dict__.get("BINDINGS", ())
                found += [(value.__qualname__, each) for each in Binding.make_bindings(declared)]
    return found


def test_no_key_is_one_that_a_terminal_takes_for_itself() -> None:
    keys = {(owner, binding.key) for owner, binding in bindings()} | {("palette", FtuiApp.COMMAND_PALETTE_BINDING)}
    assert not {(owner, key, TAKEN[key]) for owner, key in keys if key in TAKEN}
    allowed = {"escape", "enter", "tab", "up", "down", "left", "right", "home", "end", "pageup", "pagedown", "space"}
    for owner, key in keys:
        modifier, _, last = key.rpartition("+")
        assert modifier in ("", "ctrl", "shift"), f"{owner}: {key} does not reach every terminal"
        plain = len(last) == 1 or last in allowed or last in ("question_mark", "slash", "backspace", "plus", "minus")
        assert plain or last.startswith("f") or modifier == "", f"{owner}: {key}"


async def test_the_palette_holds_every_action() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await pilot.pause()
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"New run", "New run on the demo", "Runs", "Glossary", "Log in to the hub", "Theme", "Quit"} <= titles
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "Search for commands" in text(app))


async def test_escape_and_f1_and_ctrl_q_do_what_they_say() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await pilot.press("escape")
        assert len(app.screen_stack) == 1, "home is where back ends"
        await pilot.press("f1")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.press("n")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.press("ctrl+q")
        await pilot.pause()
    assert app.return_code in (0, None)


async def test_a_call_that_hangs_does_not_keep_the_app_from_ending() -> None:
    import threading

    never = threading.Event()
    waiting = asyncio.create_task(attempt(never.wait))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_goes_wrong_in_a_call_comes_back_as_a_sentence() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "/data")

    found = await attempt(full)
    assert isinstance(found, Problem)
    assert "No space left on device (/data)" in found.what
