"""What an objective measures beside the loss is drawn, said on a line, and counted when the best is sought."""

from __future__ import annotations

from typing import Any

import pytest
from textual.app import App

from ftui.cli import lines
from ftui.runs.document import Event
from ftui.runs.follow import Curves
from ftui.screens.monitor_charts import ChartsPane
from ftui.screens.monitor_panels import Averages, View, frame, panels_for
from ftui.screens.monitor_picture import Picture
from ftui.screens.monitor_raster import draw
from ftui.screens.widgets.chart import Chart
from ftui.screens.widgets.gauges import NAME


def event(kind: str, step: int, **data: Any) -> Event:
    return Event.model_validate({"seq": step, "attempt": 1, "time": float(step), "kind": kind, "step": step,
                                 "data": data})  # fmt: skip


def preferences() -> list[Event]:
    """Three steps and two evaluations of a run by pairs, judged by its margin."""
    steps = [
        event("metric", step, loss=0.7, learning_rate=1e-4,
              values={"rewards/margins": 0.1 * step, "logps/chosen": -5.0, "entropy": 2.0})
        for step in (1, 2, 3)
    ]  # fmt: skip
    judged = [
        event("evaluation", step, eval_loss=0.6, best=best, seconds=1.0, judged_by="rewards/margins",
              values={"rewards/margins": margin})
        for step, margin, best in ((2, 0.4, True), (3, 0.2, False))
    ]  # fmt: skip
    return steps + judged


def test_values_have_panels_and_the_telling_ones_stand_beside_the_loss() -> None:
    picture = Picture()
    picture.take(preferences())
    panels = panels_for(picture.metrics)
    assert [panel.key for panel in panels] == ["loss", "rewards/margins", "learning_rate", "entropy", "logps/chosen"]
    assert panels[1].title == "rewards: margins"
    drawn, legend = frame(panels[1], picture, View(), Averages())
    assert any(curve.marks and list(curve.series.values) == [0.4, 0.2] for curve in drawn.curves)
    assert ("second", "evaluation") in legend


def test_the_best_is_what_the_run_judged_so() -> None:
    picture = Picture()
    picture.take(preferences())
    assert picture.best == (2, 0.4)
    said = [line.text for line in picture.lines]
    assert said == ["loss 0.600, rewards/margins 0.400 in 1.0 s, the best so far",
                    "loss 0.600, rewards/margins 0.200 in 1.0 s"]  # fmt: skip


def test_an_evaluation_by_reward_alone_has_no_loss_and_a_panel() -> None:
    picture = Picture()
    picture.take([event("evaluation", 5, best=True, judged_by="reward", values={"reward": 0.5})])
    assert picture.best == (5, 0.5)
    drawn = [(panel.key, panel.metric) for panel in panels_for(picture.metrics)]
    assert drawn == [("loss", "loss"), ("reward", "eval_reward")]


def test_a_line_of_text_names_the_values_that_tell_most() -> None:
    metric, *_, evaluation = preferences()
    assert lines.line(metric) is not None
    assert "rewards/margins 0.1" in str(lines.line(metric))
    assert "logps" not in str(lines.line(metric))
    assert "eval_rewards/margins 0.2" in str(lines.line(evaluation))
    kept = lines.telling({"loss": 1.0, "logps/chosen": -5.0, "eval_accuracy": 0.9})
    assert kept == {"loss": 1.0, "eval_accuracy": 0.9}


def test_curves_keep_what_training_and_evaluation_measured_apart() -> None:
    curves = Curves()
    curves.extend(preferences())
    assert list(curves["rewards/margins"].values) == [0.1, 0.2, 0.1 * 3]
    assert list(curves["eval_rewards/margins"].values) == [0.4, 0.2]


def policy(*steps: int) -> list[Event]:
    """Steps of a policy whose answers are rewarded: its loss stands still, and trl measures much beside."""
    values = {"reward": 0.5, "rewards/exact/mean": 0.5, "rewards/exact/std": 0.1, "clip_ratio/high_max": 0.0,
              "clip_ratio/high_mean": 0.0, "completions/max_length": 9.0, "completions/max_terminated_length": 9.0,
              "completions/mean_length": 5.0, "frac_reward_zero_std": 0.2, "clip_ratio/region_mean": 0.0}  # fmt: skip
    return [event("metric", step, loss=0.0, learning_rate=1e-4, grad_norm=0.1, values=values) for step in steps]


def test_no_two_values_of_a_policy_have_the_same_name_in_a_line_of_gauges() -> None:
    picture = Picture()
    picture.take(policy(1, 2))
    titles = [panel.title for panel in panels_for(picture.metrics)]
    assert max(map(len, titles)) <= NAME
    assert len(set(titles)) == len(titles)
    assert titles[:2] == ["loss", "reward"]
    assert titles.index("answer length") < titles.index("longest, ended")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_reward_is_the_large_chart_of_a_policy_and_keeps_its_room(size: tuple[int, int]) -> None:
    picture = Picture()
    app: App[None] = App()
    async with app.run_test(size=size) as pilot:
        pane = ChartsPane()
        await app.screen.mount(pane)
        picture.take(preferences())
        pane.show(picture, {})
        assert pane.main == "loss"
        picture.take(policy(4, 5, 6))
        pane.show(picture, {})
        await pilot.pause()
        assert pane.main == "reward"
        assert pane.query_one("#main-chart", Chart).size.height >= size[1] // 3
        pane.turn(1)
        assert pane.main != "reward", "what one chose stays"
        picture.take(policy(7))
        pane.show(picture, {})
        assert pane.main != "reward"


def test_steps_are_whole_numbers_under_a_chart() -> None:
    picture = Picture()
    picture.take(policy(1, 2, 3))
    drawn, _ = frame(panels_for(picture.metrics)[1], picture, View(), Averages())
    below = "".join(text for text, _ in draw(drawn, 90, 10)[-1])
    assert below.split() == ["1", "2", "3"]
