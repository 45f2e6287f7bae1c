"""What following a run costs: counted work, no clock."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from screens_help import until_drawn as until

from ftui.screens.app import FtuiApp
from ftui.screens.monitor import MonitorScreen
from ftui.screens.monitor_series import BLOCK, EXACT, Series, Smoothed
from ftui.screens.widgets.static import Static

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


async def test_a_run_that_stands_still_is_looked_at_but_neither_drawn_nor_laid_out_again(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"draw": 0, "update": 0, "look": 0}

    def counted(owner: type, name: str, key: str) -> None:
        plain = getattr(owner, name)

        def call(self: object, *args: object, **more: object) -> object:
            counts[key] += 1
            return plain(self, *args, **more)

        monkeypatch.setattr(owner, name, call)

    counted(MonitorScreen, "_draw", "draw")
    counted(Static, "update", "update")
    counted(MonitorScreen, "_look", "look")
    run = recorded.healthy(own_home)
    async with FtuiApp(open_run=run.folder.name).run_test(size=(120, 40)) as pilot:
        await until(pilot, "▶ running", "260 / 400 steps", "GPU temperature")
        screen = pilot.app.screen
        assert isinstance(screen, MonitorScreen)
        await pilot.pause()
        before = dict(counts)
        while counts["look"] < before["look"] + 3 or screen._looking:
            await pilot.pause(0.05)
        assert (counts["draw"], counts["update"]) == (before["draw"], before["update"])
        run.train(recorded.metrics(261, 400, start=261), first=261, samples=False)
        await until(pilot, "261 / 400 steps")
        assert counts["draw"] > before["draw"]


def grown(points: int) -> Series:
    series = Series()
    for step in range(points):
        series.append(step, 1.0 + (step % 7) / 10)
    return series


def test_of_many_points_a_chart_reads_blocks_and_every_spike_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    series = grown(EXACT + 30_000)
    series.append(EXACT + 30_000, 9.0)
    series.bounds()
    read = 0
    plain = type(series.values).__getitem__

    def counted(self: object, place: int | slice) -> object:
        nonlocal read
        found = plain(self, place)  # type: ignore[arg-type]
        read += len(found) if isinstance(place, slice) else 1
        return found

    monkeypatch.setattr(type(series.values), "__getitem__", counted)
    columns = list(series.columns(0, EXACT + 30_000, 200))
    assert read < 200 * 3 * BLOCK
    assert max(column.high for column in columns) == 9.0
    assert {column.low for column in columns} == {1.0}


def test_the_average_of_many_points_is_that_of_few_within_a_hair_and_costs_a_step_a_block() -> None:
    series = Series()
    for step in range(EXACT + 20_000):
        series.append(step, 2.0 - step / EXACT + ((step * 7919) % 101 - 50) / 100)
    exact = Smoothed(series, 0.998)
    exact._go_on(exact._whole, exact._average, 0, len(series))
    true = dict(exact._whole)
    far, near = Smoothed(series, 0.998), Smoothed(series, 0.998).series(40_000, 42_000)
    blocks = far.series()
    assert len(blocks) == len(series) // BLOCK
    assert max(abs(value - true[step]) for step, value in blocks) < 0.005
    inside = [(step, value) for step, value in near if step >= 40_000]
    assert len(inside) >= 2_000
    assert max(abs(value - true[step]) for step, value in inside) < 0.005
    series.append(EXACT + 20_000 + BLOCK, 1.0)
    assert len(far.series()) >= len(blocks)


def test_an_average_of_many_points_starts_over_where_a_newer_attempt_does() -> None:
    series = grown(EXACT + 10_000)
    smoothed = Smoothed(series, 0.99)
    assert smoothed.series().steps[-1] > EXACT
    for step in range(EXACT + 1_000, EXACT + 1_500):
        series.append(step, 5.0, attempt=2)
    assert smoothed.series().values[-1] > 4
    assert smoothed.series().steps[-1] < EXACT + 1_500
