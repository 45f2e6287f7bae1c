"""Curves: what is kept of them, how they are thinned out, and what stands on the axes."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from ftui.runs.smoothing import LEVELS, suited_level
from ftui.screens.monitor_axes import Axis, elapsed, labels, short, ticks
from ftui.screens.monitor_panels import PANELS, View, ends
from ftui.screens.monitor_picture import Picture
from ftui.screens.monitor_raster import Curve, Frame, Limit, draw, spark, visible_bounds
from ftui.screens.monitor_series import Series, Smoothed
from ftui.screens.widgets.chart import Chart

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


def series(values: list[float | None], start: int = 1, attempt: int = 1) -> Series:
    made = Series()
    for step, value in enumerate(values, start):
        made.append(step, value, attempt)
    return made


def rows(curves: list[Curve], width: int = 60, height: int = 12, **more: object) -> list[str]:
    """The text of a drawing of these curves over all their steps."""
    left = min(c.series.steps[0] for c in curves)
    right = max(c.series.steps[-1] for c in curves)
    low, high = visible_bounds(curves, left, right, False)
    frame = Frame(curves, left, right, low, high, **more)  # type: ignore[arg-type]
    return ["".join(text for text, _ in row) for row in draw(frame, width, height)]


def styles(curves: list[Curve], width: int = 60, height: int = 12) -> set[str]:
    left, right = curves[0].series.steps[0], max(curves[0].series.steps[-1], 100)
    low, high = visible_bounds(curves, left, right, False)
    return {style for row in draw(Frame(curves, left, right, low, high), width, height) for _, style in row}


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=700), st.integers(1, 50))
def test_columns_hold_every_extreme_whatever_their_number(values: list[float], count: int) -> None:
    made = series(list(values))
    columns = list(made.columns(1, len(values), count))
    assert min(column.low for column in columns) == min(values)
    assert max(column.high for column in columns) == max(values)
    assert columns[0].first == values[0]
    assert columns[-1].last == values[-1]
    assert [c.index for c in columns] == sorted({c.index for c in columns})


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), max_size=300))
def test_bounds_leave_out_what_is_not_finite(values: list[float | None]) -> None:
    finite = [v for v in values if v is not None and math.isfinite(v)]
    assert series(values).bounds() == ((min(finite), max(finite)) if finite else None)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5), st.one_of(st.none(), st.floats(-5, 5))), max_size=80)
)
def test_a_series_equals_its_slow_definition_over_attempts(points: list[tuple[int, int, float | None]]) -> None:
    """Newer attempts take back all from their first step on; within an attempt a step's newest value counts."""
    made, slow, newest = Series(), dict[int, float | None](), 0
    for step, attempt, value in sorted(points, key=lambda point: point[1]):
        if attempt > newest:
            slow = {s: v for s, v in slow.items() if s < step}
            newest = attempt
        slow[step] = value
        made.append(step, value, attempt)
    assert list(made) == [(s, v) for s, v in sorted(slow.items()) if v is not None]
    assert list(made.gaps) == [s for s, v in sorted(slow.items()) if v is None]
    assert made.bounds() == ((min(held), max(held)) if (held := [v for v in slow.values() if v is not None]) else None)


def test_a_single_steps_spike_among_100_000_is_drawn() -> None:
    values: list[float | None] = [1.0] * 100_000
    values[61_803] = 9.0
    drawn = rows([Curve(series(values), "line")])
    inside = [row.split("│")[-1].split("┤")[-1] for row in drawn[:-2]]
    assert sum(any(mark > "⠀" for mark in row) for row in inside) >= 9, drawn


def test_a_gap_breaks_the_line_and_is_marked_at_the_foot() -> None:
    values: list[float | None] = [1.0 + step / 100 for step in range(100)]
    values[40:50] = [None] * 10
    drawn = rows([Curve(series(values), "line")], width=66)
    assert "×" in drawn[-3]
    columns = [any(row[column] not in " │┤×" and row[column] > "⠀" for row in drawn[:-2]) for column in range(6, 66)]
    assert columns.count(False) >= 4


def test_one_missing_step_among_100_000_is_marked() -> None:
    values: list[float | None] = [1.0] * 100_000
    values[50_000] = None
    assert "×" in rows([Curve(series(values), "line")])[-3]


def test_two_curves_keep_their_own_styles() -> None:
    raw, evaluation = series([2.0 - step / 50 for step in range(50)]), Series()
    for step in (10, 30, 50):
        evaluation.append(step, 2.3 - step / 50)
    curves = [Curve(raw, "line"), Curve(evaluation, "second", marks=True)]
    assert {"line", "second", "axis"} <= styles(curves)
    assert sum(row.count("●") for row in rows(curves)) == 3


def test_a_resumed_run_shows_the_newest_attempt_and_what_it_has_not_reached_yet() -> None:
    made = series([1.0] * 100)
    for step in range(60, 71):
        made.append(step, 5.0, attempt=2)
    assert dict(made)[60] == 5.0
    assert made.steps[-1] == 70
    assert made.superseded is not None
    assert made.superseded.bounds() == (1.0, 1.0)
    assert made.superseded.neighbours(0, 200) == (None, None)
    assert "old" in styles([Curve(made, "line")])
    for step in range(71, 101):
        made.append(step, 5.0, attempt=2)
    assert made.superseded is None


def test_a_third_attempt_keeps_the_rest_of_the_first() -> None:
    made = series([1.0] * 100)
    for attempt, (first, last) in enumerate(((50, 80), (60, 65)), 2):
        for step in range(first, last):
            made.append(step, float(attempt), attempt)
    assert [made.last_step, dict(made)[59], dict(made)[60]] == [64, 2.0, 3.0]
    assert made.superseded is not None
    assert made.superseded.last_step == 100
    assert dict(made.superseded)[79] == 2.0
    assert dict(made.superseded)[80] == 1.0


def test_smoothing_is_debiased_and_starts_over_after_a_rewind() -> None:
    made = series([3.0] * 50)
    smoothed = Smoothed(made, 0.9)
    assert list(smoothed.series().values) == pytest.approx([3.0] * 50)
    for step in range(20, 30):
        made.append(step, 1.0, attempt=2)
    assert smoothed.series().steps[-1] == 29
    assert 1.0 < smoothed.series().values[-1] < 3.0


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.sampled_from(LEVELS))
def test_smoothing_stays_within_the_values(values: list[float], weight: float) -> None:
    smoothed = Smoothed(series(list(values)), weight).series().values
    assert min(values) - 1e-6 <= min(smoothed)
    assert max(smoothed) <= max(values) + 1e-6


def test_long_runs_are_smoothed_more_than_short_ones() -> None:
    levels = [LEVELS[suited_level(points)] for points in (20, 200, 2_000, 200_000)]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert levels[-1] >= 0.99


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_within_the_axis_and_told_apart(low: float, span: float, count: int) -> None:
    axis = Axis(low, low + span, 40)
    found = ticks(axis, count)
    assert all(low - span * 1e-6 <= value <= low + span * 1.000001 for value in found)
    assert len(found) <= count + 2
    if span > abs(low) * 1e-4:
        assert len(set(labels(found))) == len(found)


def test_ticks_of_a_long_logarithmic_axis_are_decades() -> None:
    assert ticks(Axis(1e-6, 1.0, 40, log=True), 7) == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0])


@pytest.mark.parametrize(("value", "said"), [
    (1.8324, "1.832"), (0.04321, "0.0432"), (2e-4, "2e-4"), (5.54e-5, "5.5e-5"), (12_345, "12.3k"), (0, "0"),
    (3_480.4, "3,480"), (None, "–"), (math.inf, "–"), (8.03e9, "8.03B"), (71.26, "71.3"),
])
def test_numbers_are_said_shortly(value: float | None, said: str) -> None:
    assert short(value) == said


def test_any_ticks_have_labels_even_a_lone_zero() -> None:
    assert labels([0.0]) == ["0"]
    assert labels([]) == []
    assert labels([0.0, 1e-4, 2e-4]) == ["0", "1e-4", "2e-4"]
    assert labels([-0.5, 0.0, 0.5]) == ["-0.5", "0", "0.5"]
    assert labels([0.0, 20_000.0, 40_000.0]) == ["0", "20k", "40k"]


def test_time_on_the_axis_is_minutes_and_seconds_then_hours() -> None:
    assert [elapsed(s) for s in (5, 485, 4_080)] == ["0:05", "8:05", "1:08 h"]


def test_a_limit_keeps_its_name_where_a_curve_covers_it() -> None:
    drawn = rows([Curve(series([10.0] * 50), "line")], limits=[Limit(10.0, "plan")])
    assert any("plan" in row for row in drawn)


def test_a_spark_fills_its_cells() -> None:
    assert len(spark(series([1.0, 2.0, 3.0]), 20)) == 20
    assert spark(Series(), 5) == " " * 5


@pytest.mark.parametrize("size", [(1, 1), (5, 2), (12, 4), (200, 60)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    width, height = size
    drawn = rows([Curve(series([1.0, 5.0, 2.0]), "line")], width, height)
    assert len(drawn) == height
    assert {len(row) for row in drawn} == {width}


def test_zooming_to_between_two_evaluations_still_shows_their_line() -> None:
    evaluation = Series()
    for step in (100, 200):
        evaluation.append(step, 1.0)
    drawn = draw(Frame([Curve(evaluation, "second")], 140, 160, 0.5, 1.5), 60, 12)
    assert "second" in {style for row in drawn for _, style in row}


def test_zoom_follows_the_newest_steps_until_it_is_moved() -> None:
    picture = Picture(series={"loss": series([1.0] * 1000)})
    near = View().zoomed(ends(picture), 0.1)
    assert near.span(ends(picture)) == pytest.approx((900.1, 1000))
    assert near.right is None
    moved = near.panned(ends(picture), -0.5)
    assert moved.right is not None
    assert moved.panned(ends(picture), 9).right is None
    assert moved.zoomed(ends(picture), 100) == View()


class _ChartApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Chart(PANELS[0])


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_chart_shows_raw_smoothed_and_evaluation_with_their_newest_values(
    size: tuple[int, int], tmp_path: Path
) -> None:
    recording = recorded.healthy(tmp_path, 200, 400)
    from ftui.runs.folder import Run
    from ftui.runs.follow import history

    picture = Picture()
    picture.take(history(Run(recording.folder)))
    app = _ChartApp()
    async with app.run_test(size=size) as pilot:
        chart = app.query_one(Chart)
        chart.show(picture, View())
        await pilot.pause()
        text = chart.text_rows()
    assert "each step" in text[0]
    assert "smoothed 0.9" in text[0]
    assert "● evaluation" in text[0]
    assert text[0].endswith(f"{short(picture.last('loss'))}  {short(picture.last('eval_loss'))}")
    assert sum(row.count("●") for row in text[1:]) == 5
    assert "100" in text[-1]
