"""Trackers that work, that fail at any moment or hang: the curves go there, or the training goes on and says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.recipe.trackers import TRACKERS, untracked
from ftui.runs.folder import Run, create
from ftui.runs.follow import history
from ftui.runs.writer import RunWriter
from ftui.worker import leaving, tracking
from ftui.worker.context import JobContext

from . import trackers

SETTINGS = {"wandb": "proj", "tensorboard": True, "mlflow": "proj", "trackio": "proj"}
TITLES = {tracker.setting: tracker.title for tracker in TRACKERS}


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The packages can be imported; what they are told is noted in this file."""
    for name in [name for name in sys.modules if name.split(".")[0] in trackers.NAMES]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(trackers.write(tmp_path / "packages")))
    monkeypatch.setenv("TRACKER_NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("TEST_API_KEY", "T0PS3CRET")
    for name in ("WANDB_PROJECT", "WANDB_DIR", "WANDB_SILENT", "TENSORBOARD_LOGGING_DIR", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(leaving, "_closers", [])
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 0.5)
    yield tmp_path / "notes"
    for close in leaving._closers:
        # transformers' callback for MLflow would end its run once more when it is collected.
        close.__self__._inner._auto_end_run = False
    for name in [name for name in sys.modules if name.split(".")[0] in trackers.NAMES]:
        sys.modules.pop(name)


def told(setting: str, mode: str, monkeypatch: pytest.MonkeyPatch, steps: int = 6) -> Run:
    """What becomes of a run of `steps`, of which the tracker of that setting hears by transformers' own callback."""
    monkeypatch.setenv("TRACKER_MODE", mode)
    recipe = assign(Recipe(), {"model.base": "demo", f"tracking.{setting}": SETTINGS[setting]})
    run = create("train", "x", recipe=recipe, command="")
    callbacks: list[Any] = []
    arguments = SimpleNamespace(
        to_dict=dict, to_json_string=lambda: "{}", project="", trackio_space_id=None, hub_private_repo=None,
        trackio_bucket_id=None, run_name=None, output_dir="",
    )
    trainer = SimpleNamespace(args=arguments, add_callback=callbacks.append)
    state = SimpleNamespace(is_hyper_param_search=False, is_world_process_zero=True, trial_name=None, global_step=0)
    with RunWriter(run.path) as writer:
        context = JobContext(run, writer)
        tracking.add_trackers(trainer, recipe, context)
        for callback in callbacks:
            callback.on_train_begin(arguments, state, None, model=SimpleNamespace(config=None))
        for step in range(1, steps + 1):
            state.global_step = step
            context.emit("metric", step, loss=1.0)
            for callback in callbacks:
                callback.on_log(arguments, state, None, logs={"loss": 1.0}, model=SimpleNamespace(config=None))
        for callback in callbacks:
            callback.on_train_end(arguments, state, None)
    return run


def warnings(run: Run) -> list[str]:
    return [str(event.data["text"]) for event in history(run) if event.kind == "warning"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_value_arrives_in_its_order_and_under_the_step_at_which_it_was_measured(
    setting: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = told(setting, "", monkeypatch)
    lines = notes.read_text().splitlines()
    assert lines[0] == f"init {'tensorboard' if setting == 'tensorboard' else 'proj'}"
    assert lines[1:7] == [f"log {step}" for step in range(1, 7)]
    assert [line.split()[0] for line in lines[7:]] == ["finish"]
    assert warnings(run) == []


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("mode", ["fail init", "fail log", "fail finish", "exit log"])
def test_one_that_fails_costs_a_warning_in_one_sentence_and_nothing_else(
    setting: str, mode: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = told(setting, mode, monkeypatch)
    (warning,) = warnings(run)
    assert warning.startswith(f"{TITLES[setting]} failed: ")
    assert "\n" not in warning
    everything = (run.path / "events.jsonl").read_text()
    assert "T0PS3CRET" not in everything
    assert "hunter22" not in everything
    assert [event.step for event in history(run) if event.kind == "metric"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("mode", ["hang init", "hang log", "hang finish"])
def test_one_that_hangs_is_left_behind(
    setting: str, mode: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    run = told(setting, mode, monkeypatch)
    assert time.monotonic() - began < 60, "it sleeps for ten minutes"
    assert warnings(run) == [f"{TITLES[setting]} has not finished within 0.5 seconds."]


def test_one_that_cant_keep_up_loses_values_and_memory_stays_bounded(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "MOST_WAITING", 4)
    run = told("trackio", "hang log", monkeypatch, steps=40)
    assert warnings(run) == [
        "trackio takes the values more slowly than they come: 4 wait.",
        "trackio has not finished within 0.5 seconds.",
    ]


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_that_is_not_installed_is_named_before_the_launch(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftui.recipe.trackers.find_spec", lambda name: None)
    recipe = assign(Recipe(), {"model.base": "demo", f"tracking.{setting}": SETTINGS[setting]})
    found = untracked(recipe)
    assert found is not None
    assert f"needs the package {setting}" in found[0]
    assert f"pip install {setting}" in found[1]


def test_a_folder_of_old_curves_is_not_taken_for_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert untracked(assign(Recipe(), {"model.base": "demo", "tracking.wandb": "x"})) is not None


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "finish"), [("", "finish 0"), ("hang finish", None), ("fail log", None)])
def test_a_real_run_ends_in_time_and_with_its_result_whatever_the_tracker_does(
    mode: str, finish: str | None, notes: Path, resolved: Callable[..., Recipe], random_demo: Path
) -> None:
    recipe = resolved(tracking__wandb="proj", train__max_steps=4, evaluate__prompts=())
    run = create("train", "x", recipe=recipe, command="")
    script = "from ftui.worker import tracking; tracking.FINISH_SECONDS = 1.0; import runpy, sys; " \
             "sys.argv = ['worker', sys.argv[1]]; runpy.run_module('ftui.worker', run_name='__main__')"
    path = os.pathsep.join([str(notes.parent / "packages"), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", script, str(run.path)], timeout=300,
        env={**os.environ, "PYTHONPATH": path, "TRACKER_MODE": mode},
    )
    assert done.returncode == 0
    assert run.status().state == "finished"
    assert run.output.is_dir()
    told_of = [text for text in warnings(run) if "Weights & Biases" in text]
    assert len(told_of) == bool(mode)
    if finish:
        assert notes.read_text().splitlines()[-1] == finish


@pytest.mark.slow
def test_a_run_that_fails_is_told_as_failed(
    notes: Path, resolved: Callable[..., Recipe], random_demo: Path
) -> None:
    recipe = resolved(tracking__wandb="proj", train__max_steps=4, evaluate__prompts=())
    run = create("train", "x", recipe=recipe, command="")
    script = "from ftui.worker.session import Session; Session.on_step_end = lambda *a, **k: 1 / 0; " \
             "import runpy, sys; sys.argv = ['worker', sys.argv[1]]; " \
             "runpy.run_module('ftui.worker', run_name='__main__')"
    path = os.pathsep.join([str(notes.parent / "packages"), str(Path(__file__).parents[2])])
    done = subprocess.run([sys.executable, "-c", script, str(run.path)], timeout=300,
                          env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 1
    assert run.status().state == "failed"
    assert notes.read_text().splitlines()[-1] == "finish 1"
