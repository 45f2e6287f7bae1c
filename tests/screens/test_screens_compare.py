"""Runs over each other in the app: signs beside colours, three axes, and sentences for what isn't there."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from screens_help import until, until_drawn
from textual.pilot import Pilot

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.folder import Run, create
from ftui.runs.writer import RunWriter
from ftui.screens.app import FtuiApp
from ftui.screens.compare import CompareScreen
from ftui.screens.compare_chart import Overlay, curves_on_offer
from ftui.screens.compare_lanes import open_lanes, others
from ftui.screens.monitor_axes import Axis, time_marks

RECIPE = Recipe.model_validate({
    "model": {"base": "demo"}, "data": {"sources": [{"path": "demo"}]}, "adapter": {"kind": "lora", "rank": 8},
})
SIZES = [(80, 24), (120, 40)]


def trained(name: str, losses: list[float], *, tokens: int | None = 10, **settings: Any) -> Run:
    recipe = assign(RECIPE, {path.replace("__", "."): value for path, value in settings.items()})
    run = create("train", name, command="x", recipe=recipe)
    write(run, losses, tokens=tokens)
    return run


def write(run: Run, losses: list[float], first: int = 1, tokens: int | None = 10) -> None:
    with RunWriter(run.path) as writer:
        for step, loss in enumerate(losses, first):
            counted = {} if tokens is None else {"tokens": step * tokens}
            writer.emit("metric", step, loss=loss, grad_norm=loss / 2, rss_bytes=1 << 30, **counted)
            if step % 10 == 0:
                writer.emit("evaluation", step, eval_loss=loss + 0.1, best=True)
        writer.emit("end", status="finished", text="Done.")


def falling(steps: int, by: float = 0.01) -> list[float]:
    return [2 - by * step for step in range(steps)]


@pytest.fixture
def pair(own_home: Path) -> list[Run]:
    return [trained("slow", falling(40)), trained("fast", falling(20, 0.05), tokens=30, adapter__rank=16)]


def app_on(runs: list[Run]) -> FtuiApp:
    return FtuiApp(compare=[run.id for run in runs])


def overlay(pilot: Pilot[int]) -> Overlay:
    return pilot.app.screen.query_one(Overlay)


async def read(pilot: Pilot[int]) -> None:
    """Wait until all of the past is there and drawn."""
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
    screen = pilot.app.screen
    await until(pilot, lambda: bool(screen._lanes) and not screen._behind)  # type: ignore[attr-defined]


def last_places(pilot: Pilot[int]) -> list[int]:
    """Where each curve ends on the axis, in its own unit."""
    shown = overlay(pilot)
    curves = [lane.curve(shown.panel.metric, shown.axis) for lane in shown.lanes]
    return [curve.steps[-1] if len(curve) else -1 for curve in curves]


@pytest.mark.parametrize("size", SIZES)
async def test_two_runs_lie_over_each_other_with_their_signs_and_a_line_each(
    pair: list[Run], size: tuple[int, int]
) -> None:
    async with app_on(pair).run_test(size=size) as pilot:
        await read(pilot)
        shown = await until_drawn(pilot, " 2 runs ", "1.050", "loss by step", "A slow", "B fast", "✓ finished", "took")
        plot = "\n".join(line[6:] for line in shown.splitlines() if "│" in line or "┤" in line)
        assert "A" in plot
        assert "B" in plot
        assert "1.05" in shown.split("B fast")[1].splitlines()[0]
        styles = {style for row in overlay(pilot).rows() for _, style in row if style.startswith("run")}
        assert len(styles) == 2
        assert not pilot.app.screen.show_vertical_scrollbar
        assert shown.splitlines()[-1].count("   ") >= 5


async def test_x_lays_them_over_tokens_and_over_time_and_m_shows_the_next_curve(pair: list[Run]) -> None:
    async with app_on(pair).run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await until_drawn(pilot, "curve 1 of 4", "✓ finished")
        assert last_places(pilot) == [40, 20]
        await pilot.press("x")
        await until_drawn(pilot, "loss by tokens", "--by tok")
        assert last_places(pilot) == [400, 600]
        await pilot.press("x")
        await until_drawn(pilot, "loss by time", "0 s")
        await pilot.press("x", "m")
        await until_drawn(pilot, "loss (evaluation) by step")
        assert last_places(pilot) == [40, 20]
        await pilot.press("M", "M")
        await until_drawn(pilot, "memory (RSS), GiB by step", "1.0 GiB")
        await pilot.press("l", "S", "plus", "left", "right", "minus", "0", "s")
        await until_drawn(pilot, "memory (RSS)")


async def test_a_runs_letter_hides_it_and_brings_it_back(pair: list[Run]) -> None:
    async with app_on(pair).run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await until_drawn(pilot, "✓ finished", "B fast")
        assert overlay(pilot).ends == (1.0, 40.0)
        await pilot.press("a")
        await until_drawn(pilot, "a slow", "hidden")
        assert overlay(pilot).ends == (1.0, 20.0)
        await pilot.press("b")
        await until_drawn(pilot, "All runs are hidden")
        await pilot.press("a", "b", "c")
        await until_drawn(pilot, "A slow", "B fast")
        line = next(y for y, row in enumerate(overlay(pilot).text_rows()) if row.startswith("B "))
        await pilot.click(Overlay, offset=(5, line))
        await until_drawn(pilot, "b fast")


async def test_what_differs_and_what_came_of_it_stand_in_the_table(pair: list[Run]) -> None:
    async with app_on(pair).run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await until_drawn(pilot, "2 table 1", "✓ finished")
        await pilot.press("2")
        shown = await until_drawn(pilot, "adapter.rank", "A slow", "B fast", "best", "peak")
        row = next(line for line in shown.splitlines() if "adapter.rank" in line)
        assert row.split()[1:3] == ["8", "16"]
        assert next(line for line in shown.splitlines() if " best" in line).split()[1:3] == ["1.71", "1.15"]
        await pilot.press("1")
        await until_drawn(pilot, "loss by step")


async def test_chart_and_table_stand_together_where_there_is_room(pair: list[Run]) -> None:
    async with app_on(pair).run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, "loss by step", "adapter.rank")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not pilot.app.screen.query_one("#table").display)


async def test_a_run_that_goes_on_is_followed(pair: list[Run], own_home: Path) -> None:
    late = create("train", "late", command="x", recipe=RECIPE)
    async with app_on([pair[0], late]).run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, "B late", "Without loss yet: B.")
        write(late, falling(7))
        await until_drawn(pilot, "1.94")
        await until(pilot, lambda: last_places(pilot) == [40, 7])


async def test_what_a_run_lacks_is_said_and_the_others_are_drawn(own_home: Path) -> None:
    gaps = falling(30)
    gaps[5:9] = [math.nan] * 4
    resumed = trained("resumed", gaps)
    write(resumed, falling(5), first=20)
    judge = create("evaluate", "judge", command="x")
    uncounted = trained("uncounted", falling(10), tokens=None)
    async with app_on([resumed, judge, uncounted]).run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await until_drawn(pilot, "A resumed", "Without loss", "B.", "×")
        assert last_places(pilot) == [24, -1, 10]
        await pilot.press("x")
        await until_drawn(pilot, "loss by tokens")
        assert last_places(pilot) == [240, -1, -1]
        await pilot.press("2")
        await until_drawn(pilot, "B judge has no recipe: it is no training but a run of kind evaluate.")


async def test_runs_without_any_number_are_a_sentence(own_home: Path) -> None:
    jobs = [create("merge", name, command="x") for name in ("one", "two")]
    async with app_on(jobs).run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, "No run in sight has measured loss yet", "curve 1 of 1")
        await pilot.press("m", "M", "x", "l", "s", "S", "plus", "minus", "left", "0", "a", "w")
        await until_drawn(pilot, "a one")


@pytest.mark.parametrize("count", [1, 9])
async def test_too_few_or_too_many_runs_are_refused_in_a_sentence(own_home: Path, count: int) -> None:
    runs = [trained(f"r{number}", [1.0]) for number in range(count)]
    async with app_on(runs).run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, f"{count} runs can't be compared.", "Name from 2 to 8")
        await pilot.press("x", "m", "2", "n", "v", "w", "a")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, CompareScreen))


async def test_a_run_that_is_gone_is_a_sentence(pair: list[Run]) -> None:
    shutil.rmtree(pair[1].path)
    async with app_on(pair).run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, "There is no run")


async def test_a_run_whose_folder_goes_stops_nobody_else_and_is_said_once(
    pair: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    late, said = create("train", "late", command="x", recipe=RECIPE), list[str]()
    monkeypatch.setattr(CompareScreen, "notify", lambda screen, hint, title, **more: said.append(title))
    async with app_on([pair[0], late]).run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, "Without loss yet: B.")
        write(late, falling(3))
        shutil.rmtree(pair[0].path)

        def broken() -> None:
            raise OSError(5, "Input/output error", str(pair[0].events))

        monkeypatch.setattr(overlay(pilot).lanes[0], "look", broken)
        await until_drawn(pilot, "1.980")
        await read(pilot)
        assert last_places(pilot) == [40, 3]
        write(late, falling(6), first=3)
        await until(pilot, lambda: last_places(pilot)[1] == 8)
        assert [title[:22] for title in said] == ["A: Input/output error "]


async def test_eight_runs_and_all_that_is_said_of_them_fit_a_small_screen(own_home: Path) -> None:
    runs = [trained(f"run {number}", falling(20 + number)) for number in range(8)]
    async with app_on(runs).run_test(size=(80, 24)) as pilot:
        await read(pilot)
        shown = await until_drawn(pilot, " 8 runs ", *(f"{letter} run" for letter in "ABCDEFGH"))
        rows = shown.splitlines()
        assert sum("┤" in row or "│" in row for row in rows) >= 6
        assert len({style for row in overlay(pilot).rows() for _, style in row if style.startswith("run")}) == 8
        plot = [row[5:] for row in rows if "┤" in row or "│" in row]
        assert all(any(letter in row for row in plot) for letter in "ABCDEFGH")


async def test_a_name_that_steers_a_terminal_is_shown_and_not_sent(own_home: Path) -> None:
    runs = [trained("a\x1b[31m[bold]x[/]", falling(5)), trained("b\nc", falling(5))]
    async with app_on(runs).run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, r"a\x1b[31m[")
        await pilot.press("2")
        await until_drawn(pilot, "B b c")


async def test_v_opens_a_runs_monitor_and_n_lays_one_more_over_them(pair: list[Run]) -> None:
    third = trained("third", falling(10))
    async with app_on(pair).run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await until_drawn(pilot, "✓ finished")
        await pilot.press("n")
        await until_drawn(pilot, "Compare with which run?", "third")
        await pilot.press("enter")
        await until_drawn(pilot, "3 runs", "C third")
        await pilot.press("v")
        await until_drawn(pilot, "Watch which run?", "B fast")
        await pilot.press("enter")
        await until_drawn(pilot, f"ftui watch {pair[0].id}")
        await pilot.press("b")
        await until_drawn(pilot, "Compare with which run?")
        assert third.id in others([pair[0].id])
        await pilot.press("enter")
        await until_drawn(pilot, "2 runs", "A slow")


async def test_w_writes_the_chart_in_sight_and_says_where(
    pair: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    async with app_on(pair).run_test(size=(120, 40), notifications=True) as pilot:
        await read(pilot)
        await until_drawn(pilot, "✓ finished")
        await pilot.press("x", "w")
        await until_drawn(pilot, "The chart is drawn", seconds=60)
        assert (folder / "loss-of-2-runs-by-tokens.png").exists()
        await pilot.press("b", "v")
        await until_drawn(pilot, "Watch which run?")
        await pilot.press("enter")
        await until_drawn(pilot, "ftui watch")
        await pilot.press("w")
        await until(pilot, lambda: (folder / f"{pair[0].id}-loss.png").exists(), seconds=60)
    assert {file.suffix for file in folder.iterdir()} == {".svg", ".png"}
    assert len(list(folder.iterdir())) == 4


def test_the_curves_on_offer_are_the_monitors_with_evaluations_of_their_own() -> None:
    keys = [panel.metric for panel in curves_on_offer({"loss", "eval_loss", "grad_norm", "eval_reward"})]
    assert keys == ["loss", "eval_loss", "eval_reward", "grad_norm"]
    assert [panel.metric for panel in curves_on_offer(set())] == ["loss"]


def test_a_long_run_is_held_in_a_file_and_laid_over_the_axis_as_it_grows(own_home: Path) -> None:
    runs = [trained("long", falling(9_000, 0.0001)), trained("short", falling(5))]
    lanes, _ = open_lanes([run.id for run in runs])
    for _ in range(3):
        for lane in lanes:
            lane.fold(lane.look())
    assert lanes[0].curve("loss", "tokens").steps[-1] == 90_000
    with RunWriter(runs[0].path) as writer:
        writer.emit("metric", 8_999, loss=9.0, tokens=89_990)
    lanes[0].fold(lanes[0].look())
    curve = lanes[0].curve("loss", "tokens")
    assert (curve.steps[-1], curve.values[-1], len(curve)) == (89_990, 9.0, 8_999)


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [(2, ["0 s", "0.5 s", "1 s", "1.5 s", "2 s"]), (50, ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50"]),
     (7200, ["0:00", "30:00", "1:00 h", "1:30 h", "2:00 h"])],
)
def test_time_is_told_at_round_places(seconds: int, texts: list[str]) -> None:
    assert [text for _, text in time_marks(Axis(0, seconds * 1000, 60), 5)] == texts
