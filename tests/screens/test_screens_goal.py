"""The Goal step leads to an objective and an adapter, says why not the others, and every method has its card."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.cards import card
from ftui.screens.app import FtuiApp
from ftui.screens.method_card import MethodCard
from ftui.screens.widgets.choice_table import ChoiceTable
from ftui.screens.wizard.methods import NAME, Line, MethodPick
from ftui.screens.wizard.wizard import WizardScreen

from .screens_help import rows, text, until

SIZES = [(80, 24), (120, 40)]
ROWS = {
    "conversation": {"completion": "A number."},
    "preference": {"chosen": "A number.", "rejected": "No idea."},
}
"""What stands beside the prompt in a row of a kind."""


@asynccontextmanager
async def on_goal(
    tmp_path: Path, kind: str = "conversation", size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Pilot[int]]:
    """The Goal step with rows of `kind` read, and nothing planned."""
    app = FtuiApp()
    async with app.run_test(size=size) as pilot:
        screen = WizardScreen()
        await app.push_screen(screen)
        await until(pilot, lambda: screen.state.hardware and screen._step)
        await screen.go("goal")
        await pilot.pause()
        path = tmp_path / "rows.jsonl"
        prompts = ({"prompt": f"What is {number}?"} for number in range(60))
        path.write_text("".join(json.dumps(prompt | ROWS[kind]) + "\n" for prompt in prompts))
        screen._edited(screen.state.assigned({"data.sources": str(path)}))
        await until(pilot, lambda: screen.state.profile)
        await pilot.pause()
        yield pilot


def wizard(pilot: Pilot[int]) -> WizardScreen:
    screen = next(each for each in pilot.app.screen_stack if isinstance(each, WizardScreen))
    return screen


def ways(pilot: Pilot[int]) -> ChoiceTable:
    return wizard(pilot).query_one("#ways", ChoiceTable)


@pytest.mark.parametrize("size", SIZES)
async def test_the_wish_the_priority_and_what_they_lead_to_stand_on_one_page(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with on_goal(tmp_path, "preference", size) as pilot:
        shown = text(pilot.app)
        assert "What should the tuned model do?" in shown
        assert "Prefer A over B" in shown
        assert "(60 rows: pairs of a better and a worse answer)" in shown
        assert "DPO" in shown
        assert all(len(row) <= size[0] for row in rows(pilot.app))


async def test_rows_without_rejected_answers_lead_to_imitation_and_say_why_not_dpo(tmp_path: Path) -> None:
    async with on_goal(tmp_path) as pilot:
        for key in ("down", "down", "down"):
            await pilot.press(key)
        await until(pilot, lambda: "Prefer A over B: " in text(pilot.app))
        assert "Leads to Supervised fine-tuning" in " ".join(text(pilot.app).split())
        await pilot.press("enter")
        await until(pilot, lambda: wizard(pilot).state.draft.goal.task == "prefer")
        await pilot.press("tab")
        ways(pilot).move("objective:dpo")
        await until(pilot, lambda: "not here, for the rows have no rejected" in text(pilot.app))
        await pilot.press("enter")
        await pilot.pause()
        assert wizard(pilot).state.draft.objective.kind == "sft", "what can't be trained can't be taken"
        assert "It can't be" in text(pilot.app)


async def test_another_objective_is_taken_and_the_recommended_one_gives_it_back_to_the_planner(tmp_path: Path) -> None:
    async with on_goal(tmp_path, "preference") as pilot:
        await pilot.press("tab", "tab")
        ways(pilot).move("objective:orpo")
        await pilot.press("enter")
        await until(pilot, lambda: wizard(pilot).state.draft.objective.kind == "orpo")
        assert "objective.kind" in wizard(pilot).state.edited
        ways(pilot).move("objective:dpo")
        await pilot.press("enter")
        await until(pilot, lambda: "objective.kind" not in wizard(pilot).state.edited)


async def test_the_card_of_the_method_under_the_cursor_is_behind_the_question_mark(tmp_path: Path) -> None:
    async with on_goal(tmp_path) as pilot:
        await pilot.press("tab", "tab")
        ways(pilot).move("adapter:oft")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, MethodCard))
        assert "OFT  adapter.kind: oft" in text(pilot.app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen))


@pytest.mark.parametrize("size", SIZES)
async def test_every_card_fits_the_terminal_and_is_read_to_its_end(size: tuple[int, int]) -> None:
    app = FtuiApp()
    async with app.run_test(size=size) as pilot:
        for found in _cards():
            await app.push_screen(MethodCard(found))
            await pilot.pause()
            assert found.title in text(app)
            assert "escape goes back" in text(app), "the last line of the dialog stands on the screen"
            await pilot.press("end")
            await pilot.pause()
            last = found.settings[-1].title if found.settings else found.source
            assert last.split()[0] in text(app)
            await pilot.press("escape")


def _cards() -> Iterator[Any]:
    """The longest ones, and one of each sort: all of them would only take longer."""
    yield from (card("objective", kind) for kind in ("sft", "grpo", "ppo") if kind in OBJECTIVES)
    yield from (card("adapter", kind) for kind in ("lora", "none", "multitask_prompt_tuning", "xlora"))


async def test_fifty_adapters_are_searched_by_name_or_by_what_they_are_for(tmp_path: Path) -> None:
    async with on_goal(tmp_path) as pilot:
        await pilot.press("tab", "tab")
        ways(pilot).move("all adapters")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, MethodPick))
        table = pilot.app.screen.query_one(ChoiceTable)
        assert table.keys[:2] == ["adapter:lora", "adapter:none"]
        assert len(table.keys) == len(ADAPTERS)
        await pilot.press(*"vera")
        await until(pilot, lambda: table.key == "adapter:vera")
        assert set(table.keys) >= {"adapter:vera", "adapter:pvera"}
        pilot.app.screen.query_one(Input).value = "continual learning"
        await until(pilot, lambda: table.keys == ["adapter:osf"])
        pilot.app.screen.query_one(Input).value = "vera"
        await until(pilot, lambda: table.key == "adapter:vera")
        await pilot.press("question_mark")
        await until(pilot, lambda: "adapter.kind: vera" in text(pilot.app))
        await pilot.press("escape", "enter")
        await until(pilot, lambda: wizard(pilot).state.draft.adapter.kind == "vera")
        assert "adapter:vera" in ways(pilot).keys


async def test_an_adapter_that_the_base_refuses_says_so_and_is_not_taken(tmp_path: Path) -> None:
    async with on_goal(tmp_path) as pilot:
        screen = wizard(pilot)
        screen._change(screen.state.assigned({"model.quantization": "nf4"}))
        await pilot.press("tab", "tab")
        ways(pilot).move("all adapters")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, MethodPick))
        await pilot.press(*"hra")
        await until(pilot, lambda: pilot.app.screen.query_one(ChoiceTable).key == "adapter:hra")
        assert "not here, for" in text(pilot.app)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, MethodPick)


async def test_settings_choose_methods_by_the_same_list_and_explain_them_by_the_same_card() -> None:
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, WizardScreen) and wizard(pilot).state.layout)
        await wizard(pilot).go("settings")
        wizard(pilot).query_one("#settings", ChoiceTable).move("adapter.kind")
        await pilot.press("question_mark")
        await until(pilot, lambda: "LoRA  adapter.kind: lora" in text(app))
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(app.screen, MethodPick))
        await pilot.press(*"dora", "escape")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        assert wizard(pilot).state.draft.adapter.kind == "lora"


async def test_tab_goes_through_the_lists_as_they_stand_and_the_line_below_says_where(tmp_path: Path) -> None:
    async with on_goal(tmp_path, "preference") as pilot:
        for name, said in (("task", "tab twice leads to the objective"), ("priority", "tab leads to objective and"),
                           ("ways", "Enter takes it"), ("task", "Enter chooses")):  # fmt: skip
            await until(pilot, lambda said=said: said in text(pilot.app))
            assert wizard(pilot).query_one(f"#{name}", ChoiceTable).options.has_focus
            assert len(str(wizard(pilot).query_one("NextLine").render())) <= 78
            await pilot.press("tab")


@pytest.mark.parametrize(
    ("kind", "name"), [("online_dpo", "Online DPO"), ("grpo", "GRPO"), ("sft", "Supervised fine-tuning")]
)
def test_a_method_has_a_name_that_fits_its_column(kind: str, name: str) -> None:
    line = Line(kind, OBJECTIVES[kind].title, "possible", "")
    assert line.name == name
    for other in (*OBJECTIVES.items(), *ADAPTERS.items()):
        assert len(Line(other[0], other[1].title, "possible", "").name) <= NAME
