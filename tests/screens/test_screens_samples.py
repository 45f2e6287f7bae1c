"""The samples of a run, read as a person reads them: whole, prompt by prompt, evaluation by evaluation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from screens_help import drawn as text
from screens_help import until_drawn as until
from textual.containers import VerticalScroll
from textual.pilot import Pilot

from ftui.screens.app import FtuiApp
from ftui.screens.widgets.sample_view import SampleView

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded

SIZES = [(80, 24), (120, 40)]
LONG = " ".join(f"word{number}" for number in range(500))
UNBROKEN = "".join(chr(0x4E00 + number) for number in range(2500))
PROMPTS = (
    ("The first", LONG, "short"), ("The second", UNBROKEN, None), ("The third", "", " \n"), ("The last", "ok", "no"),
)


def made(home: Path) -> recorded.Recording:
    run = recorded.Recording(home, total=100)
    run.start()
    for step in (10, 20):
        run.emit("metric", step, loss=1.0)
        for index, (prompt, answer, base) in enumerate(PROMPTS):
            told = {"base": base} if base is not None and step == 10 else {}
            said = f"{answer} @{step}" if answer else ""
            run.emit("sample", step, index=index, prompt=prompt, text=said, **told)
        run.emit("evaluation", step, eval_loss=1.0 / step, best=True)
    run.flush()
    run.live()
    return run


async def scrolled(pilot: Pilot[int]) -> str:
    """All that scrolls by from the first line to the last."""
    scroll, seen = pilot.app.screen.query_one("#samples VerticalScroll", VerticalScroll), ""
    for line in range(0, scroll.max_scroll_y + 10, 10):
        scroll.scroll_to(y=line, animate=False, immediate=True)
        await pilot.pause()
        seen += text(pilot)
    return seen


@pytest.mark.parametrize("size", SIZES)
async def test_no_part_of_an_answer_is_cut_off(own_home: Path, size: tuple[int, int]) -> None:
    run = made(own_home)
    async with FtuiApp(open_run=run.folder.name).run_test(size=size) as pilot:
        await until(pilot, "samples 2")
        await pilot.press("2")
        await until(pilot, "evaluation 2 of 2", "The first", "1 of 4")
        seen = await scrolled(pilot)
        assert all(word in seen for word in LONG.split())
        assert all(letter in seen for letter in UNBROKEN)
        assert "…" not in seen
        assert "(not asked)" in seen, "the second prompt, of the base model"
        assert "(no words)" in seen, "what was asked and said nothing"


@pytest.mark.parametrize("size", SIZES)
async def test_keys_go_from_prompt_to_prompt_and_stay_there_from_evaluation_to_evaluation(
    own_home: Path, size: tuple[int, int]
) -> None:
    run = made(own_home)
    async with FtuiApp(open_run=run.folder.name).run_test(size=size) as pilot:
        await until(pilot, "samples 2")
        await pilot.press("2")
        await until(pilot, "The first")
        view = pilot.app.screen.query_one(SampleView)
        scroll = view.query_one(VerticalScroll)
        await pilot.pause()
        tops = [shown.virtual_region.y for shown in view._shown]
        assert tops[0] == 0
        for place in (1, 2, 3):
            await pilot.press("n")
            assert scroll.scroll_offset.y == min(tops[place], scroll.max_scroll_y)
        scroll.scroll_to(y=tops[1] + 1, animate=False, immediate=True)
        await pilot.press("N")
        assert scroll.scroll_offset.y == tops[1], "first to the beginning of what is read"
        await pilot.press("left_square_bracket")
        shown = await until(pilot, "step 10", "evaluation 1 of 2", "The second")
        assert "The first" not in shown
        assert scroll.scroll_offset.y == tops[1]
        await pilot.press("N")
        assert scroll.scroll_offset.y == 0


async def test_while_there_are_none_it_says_when_there_will_be(own_home: Path) -> None:
    run = recorded.Recording(own_home, total=100)
    run.start()
    run.emit("metric", 1, loss=1.0)
    run.flush()
    run.live()
    async with FtuiApp(open_run=run.folder.name).run_test(size=(80, 24)) as pilot:
        await until(pilot, "▶ running")
        await pilot.press("2")
        await until(pilot, "No samples yet")
        await pilot.press("n", "N", "left_square_bracket")
        run.emit("sample", 1, index=0, prompt="The first", text="here", base="there")
        run.flush()
        shown = await until(pilot, "The first", "here", "there")
        assert "No samples yet" not in shown
