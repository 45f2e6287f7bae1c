"""What a way costs: shown with its trust, asked about with w, and made to fit with one key, in Plan and in Settings."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from screens_help import rows, small_profile, text, until
from textual.pilot import Pilot
from textual.widgets import Input

from ftui import hardware, planner, trust
from ftui.models.known import find as known_model
from ftui.planner.document import Choice, MemoryEstimate, MemoryParts, Verdict
from ftui.screens.app import FtuiApp
from ftui.screens.trace import TraceScreen
from ftui.screens.widgets.choice_table import ChoiceTable
from ftui.screens.widgets.memory_bar import MemoryBar
from ftui.screens.wizard.replan import replan
from ftui.screens.wizard.settings import SettingsStep
from ftui.screens.wizard.state import StepName, WizardState
from ftui.screens.wizard.why_not import WhyNotDialog
from ftui.screens.wizard.wizard import WizardScreen

BOX = Path(__file__).parents[1] / "hardware" / "boxes" / "rtx3090.json"
GIB = 1 << 30
Open = Callable[..., AbstractAsyncContextManager[Pilot[int]]]


@pytest.fixture(scope="module")
def planned() -> WizardState:
    """An 8B model and a thousand short rows on a card of 24 GiB: full tuning doesn't fit, the rest does."""
    entry = known_model("Qwen/Qwen3-8B")
    assert entry is not None
    state = WizardState().assigned({"model.base": entry.id, "data.sources": [{"path": "rows.jsonl"}]})
    return replan(state.having(hardware=hardware.load(BOX), shape=entry.shape, profile=small_profile()))


@pytest.fixture
def opened(planned: WizardState, monkeypatch: pytest.MonkeyPatch) -> Open:
    """A function that opens the app on a step of `planned`; nothing is probed."""
    for name in ("_probe", "_describe", "_profile"):
        monkeypatch.setattr(WizardScreen, name, lambda self: None)

    @asynccontextmanager
    async def open_(step: StepName, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[int]]:
        app = FtuiApp()
        async with app.run_test(size=size) as pilot:
            screen = WizardScreen()
            screen.set_reactive(WizardScreen.state, planned.having(step=step))
            await app.push_screen(screen)
            await until(pilot, lambda: "estimate" in text(app))
            yield pilot

    return open_


def state(pilot: Pilot[int]) -> WizardState:
    screen = next(each for each in pilot.app.screen_stack if isinstance(each, WizardScreen))
    return screen.state


def row_of(pilot: Pilot[int], words: str) -> str:
    return next(row for row in rows(pilot.app) if words in row)


async def onto(pilot: Pilot[int], method: str) -> None:
    """Put the Plan step's cursor on a way."""
    pilot.app.screen.query_one(ChoiceTable).move(method)
    await pilot.pause()


async def edit(pilot: Pilot[int], path: str, value: str) -> None:
    """Find a setting, type its value, and wait until it is planned."""
    editor = pilot.app.screen.query_one("#editor", Input)
    await pilot.press("slash")
    editor.value = path
    await pilot.press("enter", "enter")
    editor.value = value
    before = state(pilot).layout
    await pilot.press("enter")
    await until(pilot, lambda: state(pilot).layout is not before)
    await pilot.pause()


async def test_the_ways_stand_by_fit_and_quality_with_the_badge_at_each_number(opened: Open) -> None:
    async with opened("plan") as pilot:
        for way in ("LoRA ★", "QLoRA", "Full fine-tuning"):
            assert re.search(r"(fits|tight|no) +\d+\.\d% +≈ \d+\.\d GiB", row_of(pilot, way)), way
        assert "≈ Time" in text(pilot.app)
        assert text(pilot.app).index("LoRA ★") < text(pilot.app).index("doesn't fit")
        peak = row_of(pilot, "≈ estimate")
        assert re.search(r"≈ estimate \S+ GiB \([\d.]+–[\d.]+\)  ┃ 22.4 GiB: 23.1 GiB free less reserve", peak)


async def test_a_wide_terminal_has_the_interval_the_rank_and_the_result_too(opened: Open) -> None:
    async with opened("plan", (120, 40)) as pilot:
        await until(pilot, lambda: "QLoRA" in text(pilot.app))
        assert re.search(r"≈ \d+\.\d GiB +\d+\.\d–\d+\.\d", row_of(pilot, "QLoRA"))
        assert "Result" in text(pilot.app)


@pytest.mark.parametrize("step", ["plan", "settings"])
async def test_the_lines_below_fit_eighty_columns(step: StepName, opened: Open) -> None:
    async with opened(step) as pilot:
        for _ in range(4):
            line = pilot.app.screen.query_one("NextLine").render()
            assert len(str(line)) <= 78, str(line)
            await pilot.press("down")
            await pilot.pause()


async def test_w_compares_the_way_under_the_cursor_and_enter_takes_it(opened: Open) -> None:
    async with opened("plan") as pilot:
        await onto(pilot, "qlora")
        await pilot.press("w")
        await until(pilot, lambda: "model.quantization=nf4" in text(pilot.app))
        assert isinstance(pilot.app.screen, WhyNotDialog)
        assert "−" in row_of(pilot, "○  QLoRA")
        assert "escape leaves all as it is" in text(pilot.app), "all of it has room"
        await pilot.press("enter")
        await until(pilot, lambda: state(pilot).option == "qlora")


async def test_escape_leaves_the_comparison_and_all_as_it_is(opened: Open) -> None:
    async with opened("plan") as pilot:
        before = state(pilot)
        await pilot.press("w")
        await until(pilot, lambda: "is what is taken" in text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen))
        assert state(pilot) == before


async def test_what_does_not_fit_says_what_would_make_it_and_one_key_takes_that(opened: Open) -> None:
    async with opened("plan") as pilot:
        await onto(pilot, "full")
        shown = text(pilot.app)
        assert "Does not fit by" in shown
        assert re.search(r"1 adapter\.kind=lora +saves \S+ GiB", shown)
        await pilot.press("1")
        await until(pilot, lambda: state(pilot).draft.adapter.kind == "lora" and not state(pilot).busy)
        await until(pilot, lambda: "doesn't fit" not in text(pilot.app))
        assert "set by you adapter.kind=lora" in " ".join(text(pilot.app).split())


async def test_a_key_of_a_change_does_nothing_where_all_fits(opened: Open) -> None:
    for step in ("plan", "settings"):
        async with opened(step) as pilot:
            before = state(pilot).draft
            await pilot.press("1", "2", "3")
            await pilot.pause()
            assert state(pilot).draft == before


async def test_a_setting_that_is_too_large_shows_its_ways_out_with_their_costs(opened: Open) -> None:
    async with opened("settings") as pilot:
        await edit(pilot, "train.micro_batch", "256")
        shown = " ".join(text(pilot.app).split())
        assert "does not fit" in shown
        assert re.search(r"\+\d+\.\d GiB", shown)
        assert re.search(r"1 [a-z_.]+=\S+ saves \S+ GiB", shown) or "together" in shown
        await pilot.press("1")
        await until(pilot, lambda: state(pilot).estimate and state(pilot).estimate.verdict.fit != "no")


async def test_w_on_a_setting_weighs_its_other_values_and_takes_one(opened: Open) -> None:
    async with opened("settings") as pilot:
        editor = pilot.app.screen.query_one("#editor", Input)
        await pilot.press("slash")
        editor.value = "train.optimizer"
        await pilot.press("enter", "w")
        await until(pilot, lambda: "is what is taken" in text(pilot.app))
        seen = ""
        for _ in pilot.app.screen.query_one(ChoiceTable).keys:
            seen += text(pilot.app)
            if "train.optimizer=sgd" in text(pilot.app):
                break
            await pilot.press("down")
            await pilot.pause()
        for value in ("adamw_8bit", "paged_adamw_8bit", "sgd"):
            assert re.search(rf"[○●!✗] +{value} ", seen), f"{value} is nowhere on the screen"
        assert "train.optimizer=sgd" in text(pilot.app)
        await pilot.press("enter")
        await until(pilot, lambda: state(pilot).draft.train.optimizer == "sgd")


async def test_an_edit_of_the_length_moves_the_memory_without_reading_the_data_again(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened("settings") as pilot:
        reread: list[bool] = []
        monkeypatch.setattr(WizardScreen, "_profile", lambda self: reread.append(True))
        await edit(pilot, "data.max_length", "64")
        assert re.search(r"\) [−+]\d", row_of(pilot, "≈ estimate"))
        assert not reread


async def test_changes_that_are_needed_together_are_taken_with_one_key(
    opened: Open, planned: WizardState, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = (
        Choice(path="train.checkpointing", value=True, reason="saves 3.0 GiB; steps take 28% longer", source="formula"),
        Choice(path="adapter.rank", value=8, reason="saves 0.2 GiB", source="formula"),
    )
    verdict = Verdict(fit="no", spare_bytes=-1, text="Does not fit.", changes=changes, together=True)
    monkeypatch.setattr(SettingsStep, "verdict", lambda self: verdict)
    async with opened("settings") as pilot:
        shown = text(pilot.app)
        assert "1 takes these together, which would make it fit:" in shown
        assert "train.checkpointing=true  saves 3.0 GiB; steps take 28% longer" in shown
        await pilot.press("2")
        await pilot.press("1")
        await until(pilot, lambda: state(pilot).draft.adapter.rank == 8)
        assert state(pilot).draft.train.checkpointing is True


async def test_where_nothing_fits_the_table_says_so_above_all_ways(
    opened: Open, planned: WizardState, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert planned.hardware is not None
    gpu = planned.hardware.gpus[0].model_copy(update={"used_bytes": 20 * GIB, "free_bytes": 4 * GIB})
    full_card = replan(planned.having(hardware=planned.hardware.model_copy(update={"gpus": (gpu,)})))
    async with opened("plan") as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, WizardScreen)
        screen._change(full_card.having(step="plan"))
        await until(pilot, lambda: "nothing fits" in text(pilot.app))
        assert text(pilot.app).index("nothing fits") < text(pilot.app).index("★")
        assert "Does not fit by" in text(pilot.app)


async def test_a_trace_is_always_held_against_the_formula(opened: Open, planned: WizardState) -> None:
    assert planned.resolved is not None
    assert planned.shape is not None
    assert planned.hardware is not None
    screen = TraceScreen(planned.resolved, planned.shape, planned.hardware, planned.profile, command="ftui plan")
    assert screen._estimate.badge == "estimate"


def test_a_trace_is_no_edit_and_its_difference_from_the_formula_no_change(
    planned: WizardState, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = replan(planned.assigned(
        {"train.micro_batch": 2, "train.checkpointing": True, "model.quantization": "nf4"}
    ))
    edited = replan(fixed.assigned({"adapter.rank": 128}))
    assert edited.moved is not None
    more = edited.moved.bytes
    assert more > 0
    assert edited.estimate is not None
    traced = edited.estimate.memory.model_copy(update={"badge": "traced", "process_bytes": 5 * GIB})
    monkeypatch.setattr(trust, "better", lambda *_: traced)
    known = replan(edited)
    assert known.estimate is not None
    assert known.estimate.memory.badge == "traced"
    assert known.moved == edited.moved, "the recipe is the same"
    assert known.chosen is not None
    assert known.known[known.chosen.method].memory == traced
    monkeypatch.undo()
    back = replan(known.assigned({"adapter.rank": fixed.resolved.adapter.rank}))  # type: ignore[union-attr]
    assert back.moved is not None
    assert back.moved.bytes == pytest.approx(-more, rel=0.01), "formula against formula"


def test_what_the_planner_changes_with_an_edit_is_told(planned: WizardState) -> None:
    edited = replan(planned.assigned({"adapter.rank": 64}))
    assert edited.moved is not None
    assert "train.micro_batch" in {change.path for change in edited.moved.followed}
    assert "adapter.rank" not in {change.path for change in edited.moved.followed}


def test_the_traced_verdict_prices_its_changes(planned: WizardState) -> None:
    assert planned.plan is not None
    assert planned.resolved is not None
    assert planned.hardware is not None
    assert planned.shape is not None
    recipe = planned.assigned({"train.micro_batch": 256, "train.effective_batch": 256})
    resolved = replan(recipe).resolved
    assert resolved is not None
    asked = (resolved, planned.hardware, planned.shape, planned.profile)
    found = planner.estimate(*asked)
    assert found.verdict.changes
    assert planner.judge(found.memory, *asked) == found.verdict


@pytest.mark.parametrize("height", [2, 3, 4])
async def test_the_legend_sums_up_what_has_no_room(height: int) -> None:
    parts = MemoryParts(
        weights=15 * GIB, adapter=GIB // 5, gradients=GIB // 5, optimizer=GIB // 3, activations=2 * GIB, logits=GIB,
        workspace=GIB // 5, context=GIB // 2, slack=GIB // 4,
    )
    total = sum(parts.model_dump().values())
    memory = MemoryEstimate(
        parts=parts, allocated_bytes=total, reserved_bytes=total, process_bytes=total, low_bytes=total - GIB,
        high_bytes=total + GIB, phase="loss forward",
    )
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        bar = MemoryBar(peak=False)
        await app.screen.mount(bar)
        bar.styles.height = height
        bar.show(memory, 24 * GIB, GIB)
        await pilot.pause()
        legend = str(bar.render()).splitlines()[1:]
        assert len(legend) <= height - 1
        said = [float(number) for number in re.findall(r"(?:\w) (\d+\.\d)", " ".join(legend)) if number != "23.0"]
        assert sum(said) == pytest.approx(total / GIB, abs=0.3), "nothing is left out of the sum"
        assert "limit 23.0" in legend[0]


async def test_the_help_of_a_step_begins_with_the_step_s_own_keys(opened: Open) -> None:
    async with opened("plan") as pilot:
        await onto(pilot, "full")
        await pilot.press("f1")
        await until(pilot, lambda: "keys of the page" in text(pilot.app))
        shown = text(pilot.app)
        assert shown.index("Why not") < shown.index("Trace") < shown.index("Up")
        assert "Take change 1" in shown
        assert "Take change 2" not in shown, "there is only one way out"
