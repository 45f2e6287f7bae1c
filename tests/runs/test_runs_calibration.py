"""What is known of this machine: measurements in files, and what finished runs say of the plans they were made with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui import calibration, hardware, models, planner
from ftui.calibration import Lesson, learned, measured, memory_key
from ftui.planner.calibration import Calibration, Measured
from ftui.planner.document import Plan
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.folder import Run, create, versions
from ftui.runs.writer import RunWriter

DRAFT = assign(Recipe(), {"model.base": "demo", "compute.gpus": 0, "data.max_length": 64, "train.max_steps": 20})


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What earlier tests had found out is forgotten."""
    yield
    calibration._gathered.cache_clear()
    calibration._peaks.cache_clear()


def rates(**more: Any) -> Measured:
    fields: dict[str, Any] = {
        "device": hardware.probe().cpu.name, "torch": versions()["torch"], "day": "2026-11-22", "half": 0.01,
        "single": 0.03, "bandwidth": 6.0, "launch": 1e-5, "threads": 1,
    }
    return Measured(**{**fields, **more})


def planned(known: Calibration | None = None) -> tuple[Plan, Recipe]:
    box, shape = hardware.probe(), models.describe("demo")
    plan = planner.plan(box, shape, None, DRAFT, known)
    return plan, planner.resolve(DRAFT, plan)


def finished(times: float, *, peak: float = 1.0, status: str = "finished", steps: int = 12, **more: Any) -> Run:
    """A run's folder as a worker leaves it, whose steps took `times` as long as planned."""
    plan, recipe = planned(more.get("known"))
    option = plan.recommendation
    run = create("train", "t", command="ftui launch", recipe=recipe, plan=plan)
    with RunWriter(run.path) as writer:
        for step in range(1, steps + 1):
            writer.emit("metric", step, loss=1.0, step_seconds=times * option.time.step_seconds)
        for kind in more.get("events", ()):
            writer.emit(kind, text="something")
        writer.emit("end", status=status, text="Done.", hint=None, output=None, metrics={
            "peak_bytes": int(peak * option.memory.process_bytes), "steps": steps,
        })
    return run


def known() -> Calibration:
    calibration._gathered.cache_clear()
    calibration._peaks.cache_clear()
    return calibration.calibration()


def test_nothing_is_known_of_a_new_machine() -> None:
    assert known() == Calibration()


def test_what_was_measured_is_what_plans_rest_on() -> None:
    calibration.keep(rates())
    guessed, measured_ = planned()[0].recommendation.time, planned(known())[0].recommendation.time
    assert "measured on this machine on 2026-11-22" in measured_.source
    assert measured_.step_seconds != guessed.step_seconds
    assert measured_.high_seconds / measured_.low_seconds < guessed.high_seconds / guessed.low_seconds
    assert measured_.basis != guessed.basis


def test_a_device_measured_faster_is_planned_faster() -> None:
    slow, fast = (
        planned(Calibration(measured={rates().device: rates(single=0.03 * times, bandwidth=6.0 * times)}))[0]
        for times in (1, 4)
    )
    assert fast.recommendation.time.step_seconds < slow.recommendation.time.step_seconds


@pytest.mark.parametrize("text", ["", "{", '{"device": "x"}', "[1, 2]", '{"device": 3, "torch": null}'])
def test_a_broken_file_is_left_out_with_a_sentence(text: str) -> None:
    calibration.folder().mkdir(parents=True)
    (calibration.folder() / "cpu.json").write_text(text)
    found = known()
    assert not found.measured
    assert "ftui calibrate" in found.problems[0]


def test_a_measurement_of_another_torch_or_with_impossible_rates_is_left_out() -> None:
    calibration.keep(rates(torch="1.0"))
    assert "torch 1.0" in known().problems[0]
    calibration.keep(rates(launch=0.0))
    assert "not positive" in known().problems[0]
    assert not known().measured


def test_finished_runs_correct_the_next_plan() -> None:
    for _ in range(3):
        finished(2.0)
    found = known()
    (taught,) = found.learned.values()
    assert (taught.runs, taught.step) == (3, pytest.approx(2.0))
    before, after = planned()[0].recommendation.time, planned(found)[0].recommendation.time
    assert after.step_seconds == pytest.approx(2 * before.step_seconds)
    assert "3 finished runs" in after.source


def test_a_single_run_moves_the_estimate_half_of_the_way() -> None:
    finished(4.0)
    before, after = planned()[0].recommendation.time, planned(known())[0].recommendation.time
    assert after.step_seconds == pytest.approx(2 * before.step_seconds)
    assert "1 finished run on" in after.source


def test_a_run_planned_with_a_correction_teaches_the_same_as_one_planned_without() -> None:
    for _ in range(3):
        finished(2.0)
    corrected = known()
    finished(1.0, known=corrected)
    (taught,) = known().learned.values()
    assert (taught.runs, taught.step) == (4, pytest.approx(2.0))


@pytest.mark.parametrize("odd", [
    {"status": "stopped"}, {"status": "failed"}, {"steps": 3}, {"events": ("recovery",)}, {"times": 500.0},
])
def test_runs_that_say_nothing_of_the_plan_are_left_out(odd: dict[str, Any]) -> None:
    finished(odd.pop("times", 2.0), **odd)
    assert all(taught.runs == 0 for taught in known().learned.values())


def test_what_was_learned_on_other_rates_is_forgotten() -> None:
    finished(2.0)
    assert known().learned
    calibration.keep(rates())
    assert not known().learned


def test_a_damaged_run_teaches_nothing() -> None:
    run = finished(2.0)
    (run.path / "plan.json").write_text("{")
    assert not known().learned
    finished(2.0).events.unlink()
    assert not known().learned


def test_a_finished_run_with_the_same_settings_is_the_measured_peak() -> None:
    run = finished(1.0, peak=0.9)
    plan, recipe = planned()
    calibration._peaks.cache_clear()
    found = measured(recipe, models.describe("demo"), hardware.probe())
    assert found is not None
    assert found.badge == "measured"
    assert found.process_bytes == int(0.9 * plan.recommendation.memory.process_bytes)
    assert run.id in found.notes[0]
    assert sum(found.parts.as_dict().values()) == found.process_bytes


def recovered(*, abandoned: float, reached: float, tried: bool = True, by_hand: bool = False) -> tuple[Run, Recipe]:
    """A run that ran out of memory at `abandoned` of the plan and ended with `reached` of what half the micro-batch
    takes, and the recipe that it trained."""
    from ftui.planner.memory import memory
    from ftui.planner.setup import setup_of

    plan, recipe = planned()
    half = assign(recipe, {"train.micro_batch": int(recipe.train.micro_batch) // 2})
    expected = memory(setup_of(half, hardware.probe(), models.describe("demo"), None)).process_bytes
    run = create("train", "t", command="ftui launch", recipe=recipe, plan=plan)
    with RunWriter(run.path) as writer:
        writer.emit("status", state="preparing", text="Trying.", trial=True)
        writer.emit("metric", 1, loss=1.0, step_seconds=1.0)
        if not by_hand:
            writer.emit(
                "recovery", text="Out of memory.", change={"train.micro_batch": half.train.micro_batch},
                measured_bytes=int(abandoned * plan.recommendation.memory.process_bytes),
            )
    with RunWriter(run.path) as writer:
        if tried:
            writer.emit("status", state="preparing", text="Trying.", trial=True)
        for step in range(1, 13):
            writer.emit("metric", step, loss=1.0, step_seconds=1.0)
        writer.emit("end", status="finished", text="Done.", hint=None, output=None, metrics={
            "peak_bytes": int(reached * expected), "expected_bytes": expected,
        })
    return run, half


def test_a_run_that_recovered_teaches_the_peak_of_what_it_trained_and_not_that_of_the_abandoned_attempt() -> None:
    run, half = recovered(abandoned=3.0, reached=1.2)
    box, shape = hardware.probe(), models.describe("demo")
    found = measured(half, shape, box)
    assert found is not None
    assert found.process_bytes == json.loads(run.events.read_text().splitlines()[-1])["data"]["metrics"]["peak_bytes"]
    assert run.id in found.notes[0]
    assert measured(planned()[1], shape, box) is None, "what was launched never came to its peak"
    (taught,) = known().learned.values()
    assert (taught.memory_runs, taught.memory) == (1, pytest.approx(1.2, rel=1e-4))
    assert taught.runs == 0, "steps of other micro-batches say nothing of the time"


@pytest.mark.parametrize("odd", [{"tried": False}, {"by_hand": True}])
def test_an_attempt_that_may_not_have_met_the_longest_rows_teaches_no_peak(odd: dict[str, bool]) -> None:
    _, half = recovered(abandoned=3.0, reached=0.5, **odd)
    assert measured(half, models.describe("demo"), hardware.probe()) is None
    assert not known().learned


def test_other_settings_that_memory_depends_on_are_not_measured_yet() -> None:
    finished(1.0)
    _, recipe = planned()
    calibration._peaks.cache_clear()
    for change in ({"train.micro_batch": 4}, {"adapter.rank": 5}, {"data.max_length": 32}, {"train.loss": "full"}):
        assert measured(assign(recipe, change), models.describe("demo"), hardware.probe()) is None


def test_settings_that_memory_does_not_depend_on_share_a_key() -> None:
    _, recipe = planned()
    same = assign(recipe, {"name": "other", "train.learning_rate": 1e-5, "train.epochs": 7, "train.seed": 3})
    assert memory_key(same) == memory_key(recipe)


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=30))
def test_what_is_learned_lies_among_the_runs_and_its_spread_is_a_factor(steps: list[float]) -> None:
    found = learned("x", [Lesson("x", "2", step, step) for step in steps])
    assert min(steps) <= found.step <= max(steps)
    assert found.step_spread >= 1.05
    assert found.memory_low <= found.memory <= found.memory_high
