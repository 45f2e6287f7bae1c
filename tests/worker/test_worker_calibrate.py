"""Calibrating and measuring on a CPU: the jobs as their workers do them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ftui import calibration, hardware, planner
from ftui.planner.devices import rate
from ftui.runs.folder import Run, create

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def forgotten() -> None:
    calibration._gathered.cache_clear()
    calibration._peaks.cache_clear()


@pytest.mark.slow
def test_a_calibration_measures_every_rate_and_the_next_plan_says_so(
    work: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker.jobs import calibrate

    monkeypatch.setattr(calibrate, "SECONDS", 0.01)
    monkeypatch.setitem(calibrate.PROBE, "cpu", {
        "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 256, "rows": 1, "length": 32,
    })
    ran = work(create("calibrate", "calibrate", args={"gpus": 0}, command="ftui calibrate --cpu"))
    assert ran.end["status"] == "finished", ran.end
    found = calibration.calibration().measured[hardware.probe().cpu.name]
    assert min(found.half, found.single, found.bandwidth, found.launch) > 0
    assert found.probe_seconds
    assert found.probe_predicted
    assert (found.threads, found.context_bytes) == (1, None)
    speed = rate(hardware.probe(), cpu=True, calibration=calibration.calibration())
    assert "measured on this machine" in speed.source


def test_a_calibration_that_is_stopped_keeps_nothing() -> None:
    from ftui.worker.jobs import calibrate

    class Stopped:
        stop_asked = True

    assert calibrate.measure(Stopped(), "cpu", hardware.probe(), seconds=0.01) is None  # type: ignore[arg-type]
    assert not calibration.folder().exists()


@pytest.mark.usefixtures("random_demo")
def test_what_is_expected_after_a_recovery_is_less_by_what_the_formula_says(resolved: Callable[..., Any]) -> None:
    from ftui import data, models
    from ftui.recipe import assign
    from ftui.worker.expected import peak

    recipe = resolved(compute__gpus=0, compute__threads=1, train__micro_batch=4)
    shape = models.describe("demo")
    plan = planner.plan(hardware.probe(), shape, data.profile(recipe.data.sources, shape), recipe)
    run = create("train", "t", command="x", recipe=recipe, plan=plan)
    planned, half = peak(run, recipe), peak(run, assign(recipe, {"train.micro_batch": 2}))
    assert planned == plan.recommendation.memory
    assert half is not None
    assert half.process_bytes < planned.process_bytes
    assert half.low_bytes <= half.process_bytes <= half.high_bytes
    assert peak(create("train", "t", command="x", recipe=recipe), recipe) is None, "nothing was planned"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel keeps no such figure")
def test_the_peak_on_a_cpu_is_not_that_of_the_attempt_before_the_exec() -> None:
    again = "from ftui.worker.memory import peak_bytes; print(peak_bytes('cpu'))"
    first = (
        f"import os, sys; taken = bytes(range(256)) * (1 << 22)\nif True: {again}\nsys.stdout.flush()\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {again!r}])"
    )
    printed = subprocess.run([sys.executable, "-c", first], capture_output=True, text=True, check=True).stdout.split()
    before, after = map(int, printed)
    assert before > 1 << 30
    assert after < 512 << 20


@pytest.mark.usefixtures("random_demo")
def test_measuring_takes_two_steps_trains_nothing_and_is_remembered(
    work: Callable[..., Any], resolved: Callable[..., Any]
) -> None:
    from ftui import data, models

    recipe = resolved(compute__gpus=0, compute__threads=1)
    shape = models.describe("demo")
    plan = planner.plan(hardware.probe(), shape, data.profile(recipe.data.sources, shape), recipe)
    whole = planner.resolve(recipe, plan)
    run: Run = create("measure", "m", command="ftui plan --measure", recipe=whole, plan=plan)
    ran = work(run)
    assert ran.end["status"] == "finished", ran.end
    assert ran.end["metrics"]["peak_bytes"] > 0
    assert "estimated" in ran.end["text"]
    assert not run.checkpoints.exists() or not any(run.checkpoints.iterdir())
    assert not run.output.exists()
    assert not ran.of("metric")
    assert calibration.finished_measure(run).badge == "measured"
    found = calibration.measured(whole, shape, hardware.probe())
    assert found is not None
    assert found.process_bytes == ran.end["metrics"]["peak_bytes"]
