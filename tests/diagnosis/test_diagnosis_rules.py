"""What the rules say of curves that are made by a formula: each fault where it is, and silence where it isn't."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.diagnosis import Case, Doctor, Finding, case_of, examine
from ftui.diagnosis.track import Track, slope
from ftui.recipe.document import Recipe
from ftui.runs.document import Event

GIB = 1 << 30


def case(steps: int = 400, **settings: Any) -> Case:
    """A supervised LoRA run of `steps` on a model that knows 512 words."""
    recipe = Recipe.model_validate({
        "model": {"base": "demo"}, "objective": {"kind": "sft"},
        "adapter": {"kind": "lora", "rank": 16, "alpha": 32, "dropout": 0.05},
        "train": {"learning_rate": 2e-4, "micro_batch": 4, "effective_batch": 16, "epochs": 3}, **settings,
    })
    return case_of(recipe, steps=steps, vocabulary=512, host_bytes=16 * GIB, device_bytes=24 * GIB)


def falling(step: int, rng: random.Random) -> dict[str, float]:
    """A healthy metric of a GPU run."""
    return {
        "loss": 0.9 + 1.5 * math.exp(-step / 80) + rng.gauss(0, 0.05), "grad_norm": 0.5 + abs(rng.gauss(0, 0.1)),
        "step_seconds": 2.0, "input_seconds": 0.02, "tokens_per_second": 3500 + rng.gauss(0, 50),
        "gpu_utilization": 0.96, "gpu_temperature_c": 71.0, "rss_bytes": 3.0 * GIB, "gpu_allocated_bytes": 12.0 * GIB,
    }


def said(doctor: Doctor, steps: int = 400, **curves: Any) -> dict[str, tuple[int, Finding]]:
    """What the doctor says of a healthy run in which some curves are others: name -> (step, finding)."""
    rng, found = random.Random(3), {}
    for step in range(1, steps + 1):
        values = falling(step, rng) | {name: curve(step) for name, curve in curves.items()}
        found |= {finding.name: (step, finding) for finding in doctor.metric(step, values)}
    return found


def test_a_healthy_run_is_left_in_peace() -> None:
    assert said(Doctor(case())) == {}


def test_a_gpu_that_waits_for_its_rows_is_named_with_the_share() -> None:
    found = said(Doctor(case()), input_seconds=lambda step: 0.9, gpu_utilization=lambda step: 0.5)
    assert set(found) == {"input_bound"}
    assert "45% of each step" in found["input_bound"][1].text


def test_a_hot_card_that_slows_down_is_told_from_one_that_somebody_shares() -> None:
    slow = {"tokens_per_second": lambda step: 3500.0 if step < 200 else 2200.0}
    assert set(said(Doctor(case()), gpu_temperature_c=lambda step: 86.0, **slow)) == {"throttling"}
    shared = said(Doctor(case()), **slow)
    assert set(shared) == {"slower"}
    assert shared["slower"][1].severity == "note"


def test_memory_that_would_run_out_before_the_end_is_told_long_before() -> None:
    found = said(Doctor(case(steps=2000)), rss_bytes=lambda step: (3 + step * 0.01) * GIB)
    assert set(found) == {"memory_grows"}
    assert found["memory_grows"][0] < 200


def test_memory_that_grows_but_lasts_is_not_mentioned() -> None:
    assert said(Doctor(case()), rss_bytes=lambda step: (3 + step * 0.01) * GIB) == {}


def test_a_loss_and_a_gradient_of_zero_are_rows_without_trained_tokens() -> None:
    assert set(said(Doctor(case()), steps=60, loss=lambda step: 0.0, grad_norm=lambda step: 0.0)) == {"dead"}


def test_a_memorised_text_is_not_taken_for_a_dead_loss() -> None:
    assert "dead" not in said(Doctor(case()), loss=lambda step: 1e-12, grad_norm=lambda step: 1e-6)


def test_each_thing_is_said_once_and_not_again_after_a_resume() -> None:
    waits = {"input_seconds": lambda step: 0.9}
    first = Doctor(case())
    assert set(said(first, **waits)) == {"input_bound"}
    assert "input_bound" not in said(first, **waits)
    assert said(Doctor(case(), told=["input_bound"]), **waits) == {}


def test_overfitting_names_the_best_step_and_the_milder_settings() -> None:
    doctor = Doctor(case())
    found: list[Finding] = []
    for step in range(1, 401):
        doctor.metric(step, {"loss": 2.0 * math.exp(-step / 150)})
        if step % 40 == 0:
            found += doctor.evaluation(step, {"loss": 1.0 + 0.002 * abs(step - 120)})
    assert [finding.name for finding in found] == ["overfitting"]
    assert "since step 120 the validation loss rose from 1 " in found[0].text
    assert found[0].change == {"train.epochs": 0.9, "adapter.rank": 8, "adapter.alpha": 16, "adapter.dropout": 0.1}
    assert "rank 16 → 8" in found[0].hint


def test_a_validation_loss_that_rises_with_the_training_loss_is_no_overfitting() -> None:
    doctor, found = Doctor(case()), []
    for step in range(1, 401):
        doctor.metric(step, {"loss": 1.0 + 0.001 * step})
        if step % 40 == 0:
            found += doctor.evaluation(step, {"loss": 1.0 + 0.002 * abs(step - 120)})
    assert "overfitting" not in {finding.name for finding in found}


def test_the_same_rise_and_fall_in_every_epoch_is_the_order_of_the_rows() -> None:
    rng = random.Random(5)

    def told(ordered: bool) -> set[str]:
        doctor, found = Doctor(case(steps=600, data={"curriculum": "length"})), []
        for step in range(1, 601):
            place = (step % 200) / 200 if ordered else rng.random()
            loss = 1.5 * math.exp(-step / 300) + (0.4 if place > 0.5 else 0.0) + rng.gauss(0, 0.05)
            found += doctor.metric(step, {"loss": loss, "epoch": step / 200})
        return {finding.name for finding in found}

    assert told(ordered=True) == {"row_order"}
    assert told(ordered=False) == set()


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_a_loss_that_says_nothing_is_not_judged(kind: str) -> None:
    online = case(objective={"kind": kind, "rewards": ["format"]})
    assert said(Doctor(online), loss=lambda step: 0.001 * step) == {}


def test_a_run_that_repeats_steps_is_judged_by_its_newest_attempt() -> None:
    def metric(step: int, loss: float, attempt: int) -> Event:
        return Event(seq=step, attempt=attempt, time=0.0, kind="metric", step=step, data={"loss": loss})

    first = [metric(step, 2.0 if step < 100 else 4.0, 1) for step in range(1, 161)]
    again = [metric(step, 2.0 - step / 400, 2) for step in range(101, 401)]
    assert {f.name for _, f in examine(case(), lambda: first)} == {"learning_rate_high"}
    assert examine(case(), lambda: first + again) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=2000))
def test_a_track_keeps_the_mean_of_all_its_values_in_bounded_memory(values: list[float]) -> None:
    track = Track()
    for step, value in enumerate(values):
        track.add(step, value)
    assert len(track.stretches()) <= 256
    mean = track.mean(0, len(values))
    assert mean is not None
    assert math.isclose(mean, math.fsum(values) / len(values), rel_tol=1e-9, abs_tol=1e-6)
    assert track.newest(5) == values[-5:]
    assert track.start(4) == pytest.approx(sorted(values[:4])[len(values[:4]) // 2], abs=2e6)


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=300), st.lists(st.floats(), max_size=20))
def test_no_curve_makes_the_doctor_stumble(losses: list[float | None], evaluated: list[float]) -> None:
    doctor = Doctor(case())
    for step, loss in enumerate(losses, 1):
        doctor.metric(step, {"loss": loss, "grad_norm": loss, "epoch": step / 50, "rss_bytes": loss})
        if step % 15 == 0 and evaluated:
            doctor.evaluation(step, {"loss": evaluated[step // 15 % len(evaluated)]})


def test_a_line_has_its_slope() -> None:
    steep, error = slope([(x, 3 * x + 1) for x in range(10)])
    assert steep == pytest.approx(3)
    assert error == pytest.approx(0, abs=1e-9)


def test_a_loss_that_early_steps_threw_is_named_with_what_is_left_of_its_gradients() -> None:
    high = {4: 4.9, 5: 4.6, 6: 4.4, 7: 3.0}
    found = said(Doctor(case()), loss=lambda step: high.get(step, 2.4 if step < 4 else 2.3),
                 grad_norm=lambda step: 0.5 if step < 8 else 0.01)  # fmt: skip
    assert "threw the loss from 2.4 to 4.9" in found["learning_rate_high"][1].text
    assert found["learning_rate_high"][1].change["train.learning_rate"] == 2e-5


def test_gradients_that_explode_are_named_though_the_loss_bears_it() -> None:
    found = said(Doctor(case()), grad_norm=lambda step: 4e9 if step > 100 and step % 9 == 0 else 0.5)
    assert "Gradients explode" in found["learning_rate_high"][1].text
    assert found["learning_rate_high"][0] < 140
