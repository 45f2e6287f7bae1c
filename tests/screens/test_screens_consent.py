"""Consent to a model's own code, by keys: what is shown, that it starts at no, and that yes pins exactly that code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from screens_help import at, cpu_box, rows, text, until
from textual.pilot import Pilot
from textual.widgets import Input, Log

from ftui.hardware.document import Hardware
from ftui.models import own_code, trusted
from ftui.screens.app import FtuiApp
from ftui.screens.consent import CodeScreen, ConsentScreen
from ftui.screens.wizard.wizard import WizardScreen


@pytest.fixture
def folder(make_own_code: Callable[[Path], Path], tmp_path: Path, machine: Callable[[Hardware], None]) -> Path:
    machine(cpu_box())
    made = make_own_code(tmp_path / "own")
    (made / "modeling_tiny_own.py").write_text(
        (made / "modeling_tiny_own.py").read_text() + "x = '\x1b[2J\u202e'  # it hides\rsomething\n"
    )
    return made


def hash_of(folder: Path) -> str:
    code = own_code.look(str(folder))
    assert code is not None
    return code.hash


async def asked(pilot: Pilot[int], folder: Path) -> WizardScreen:
    """From the start to the consent screen of the model in `folder`."""
    screen = WizardScreen()
    await pilot.app.push_screen(screen)
    await at(pilot, "hardware")
    await pilot.press("enter")
    await at(pilot, "model")
    screen.query_one("#ref", Input).value = str(folder)
    await pilot.press("enter")
    await until(pilot, lambda: screen.state.shape)
    assert "to which nobody has agreed" in text(pilot.app)
    await pilot.press("ctrl+r")
    await until(pilot, lambda: "Read it first" in text(pilot.app))
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_all_that_one_must_know_stands_on_one_screen_and_enter_says_no(
    folder: Path, size: tuple[int, int]
) -> None:
    app = FtuiApp()
    async with app.run_test(size=size) as pilot:
        wizard = await asked(pilot, folder)
        shown = text(app)
        for word in ("modeling_tiny_own.py", "configuration_tiny_own.py", hash_of(folder), "TinyOwnForCausalLM",
                     " B", "as you", "files and tokens", "No, don't run it", "Yes, exactly this code"):
            assert word in shown, word
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is wizard)
        assert wizard.state.draft.model.trust_code is None
        assert not trusted.trusted(str(folder), hash_of(folder))


async def test_the_code_is_read_with_its_control_characters_shown(folder: Path) -> None:
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, folder)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, CodeScreen))
        lines = app.screen.query_one(Log).lines
        assert any(r"x = '\x1b[2J\u202e'  # it hides\rsomething" in line for line in lines)
        assert not any("\x1b" in row or "\u202e" in row for row in rows(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ConsentScreen))
        await pilot.press("escape")
        assert not trusted.trusted(str(folder), hash_of(folder))


async def test_yes_pins_that_code_and_is_remembered_until_it_changes(folder: Path) -> None:
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        wizard = await asked(pilot, folder)
        agreed = hash_of(folder)
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.screen is wizard and wizard.state.draft.model.trust_code == agreed)
        assert trusted.trusted(str(folder), agreed)
        await until(pilot, lambda: "may run, as you agreed" in text(app))
        # Another model has nothing of it; the first one, taken again, is known.
        for name, hash in (("demo", None), (str(folder), agreed)):
            wizard.query_one("#ref", Input).value = name
            await pilot.press("enter")
            await until(pilot, lambda name=name, hash=hash: (
                wizard.state.draft.model.base == name and wizard.state.draft.model.trust_code == hash))
        (folder / "modeling_tiny_own.py").write_text("from .configuration_tiny_own import TinyOwnConfig\n")
        for name in ("demo", str(folder)):
            wizard.query_one("#ref", Input).value = name
            await pilot.press("enter")
            await until(pilot, lambda name=name: wizard.state.draft.model.base == name and wizard.state.shape)
        assert wizard.state.draft.model.trust_code is None
        assert "nobody has agreed" in text(app)
