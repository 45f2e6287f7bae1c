"""What a training needs goes bad under it: its numbers, its rows, its data, its base model, checkpoints or clock."""

from __future__ import annotations

import json
import pickle
import pickletools
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data import demo_path
from ftui.models import demo
from ftui.runs import control, data_files, inbox
from ftui.runs.folder import Run
from ftui.runs.follow import Follower, curve, history
from ftui.runs.status import RunStatus
from ftui.worker.checkpoints import Checkpoint, found

from .conftest import Trainings
from .fault import Fault

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("faults-inputs")]
Reach = Callable[..., RunStatus]

STEP = "ftui.worker.session:Session.on_step_begin"
QUICK: dict[str, Any] = {"train__max_steps": 6, "train__save_steps": 2, "data__validation": 0, "evaluate__prompts": []}


def killed(trainings: Trainings, **settings: Any) -> Run:
    """A run whose worker was killed in its fifth step: it has checkpoints of steps 2 and 4."""
    run = trainings.make(**QUICK | settings)
    assert trainings.work(run, Fault(STEP, "kill", nth=5)).state == "crashed"
    return run


def data(folder: Path, rows: int = 60) -> Path:
    """A file of the demo's first rows."""
    path = folder / "rows.jsonl"
    path.write_text("".join(demo_path().read_text().splitlines(keepends=True)[:rows]))
    return path


# --- numbers and rows ---------------------------------------------------------------------------------------------


def test_weights_that_are_no_numbers_end_the_run_and_spoil_no_checkpoint(trainings: Trainings) -> None:
    run = trainings.make(**QUICK | {"train__max_steps": 30})
    last = trainings.work(run, Fault("ftui.worker.trainer:RunTrainer.training_step", "no_number", nth=8))
    assert last.state == "failed"
    assert "has not been a number since step 4" in last.text
    assert "learning_rate" in (last.hint or "")
    assert [event.data["name"] for event in history(run) if event.kind == "diagnosis"] == ["diverged"]
    assert [checkpoint.step for checkpoint in found(run.checkpoints)] == [2]
    assert trainings.work(run).state == "finished", "the same command goes on from the checkpoint before it"


EXPLODING: dict[str, Any] = {
    "adapter": None, "train__max_steps": 8, "train__learning_rate": 1.0, "train__warmup": 0.0, "train__eval_steps": 1,
    "train__schedule": "constant", "train__save_steps": 100, "train__max_grad_norm": 0.0,
}


def test_a_loss_that_explodes_leaves_the_best_weights_as_the_result(trainings: Trainings) -> None:
    run = trainings.make(**EXPLODING)
    last = trainings.work(run)
    assert last.state == "finished"
    losses = {event.step: event.data["eval_loss"] for event in history(run) if event.kind == "evaluation"}
    best = min(losses, key=losses.__getitem__)
    assert losses[8] > losses[best] + 10
    assert f"(the best, from step {best})" in last.text
    checkpoint = run.checkpoints / f"checkpoint-{best}" / "model.safetensors"
    assert (run.output / "model.safetensors").read_bytes() == checkpoint.read_bytes()


@pytest.mark.parametrize("data_workers", [0, 1])
def test_a_row_that_raises_ends_the_run_with_its_words_and_the_same_command_goes_on(
    data_workers: int, trainings: Trainings
) -> None:
    whole = trainings.finish(trainings.make(**QUICK))
    run = trainings.make(**QUICK, compute__data_workers=data_workers)
    last = trainings.work(run, Fault("ftui.worker.collate:Collator.__call__", "bad_row", nth=8))
    assert last.state == "failed"
    assert last.text == "ValueError: a picture is broken"
    assert [checkpoint.step for checkpoint in found(run.checkpoints)] == [2]
    assert trainings.finish(run) == whole


# --- data and model -----------------------------------------------------------------------------------------------


def test_data_that_has_changed_before_a_resume_is_refused_until_it_is_put_back(
    trainings: Trainings, tmp_path: Path
) -> None:
    path = data(tmp_path)
    kept = path.read_text()
    run = killed(trainings, data__sources=[{"path": str(path)}])
    path.write_text("".join(kept.splitlines(keepends=True)[1:]))
    refused = trainings.work(run)
    assert refused.state == "failed"
    assert "The data has changed since checkpoint-4: 60 rows to train on" in refused.text
    assert "59" in refused.text
    path.write_text(kept.replace("the", "teh"))
    assert "the rows are others" in trainings.work(run).text
    path.unlink()
    gone = trainings.work(run)
    assert gone.state == "failed"
    assert "rows.jsonl" in gone.text
    path.write_text(kept)
    assert trainings.work(run).state == "finished"


def test_data_that_has_changed_between_launch_and_first_start_is_told_with_both_facts_and_trained_on(
    trainings: Trainings, tmp_path: Path
) -> None:
    path = data(tmp_path)
    run = trainings.make(**QUICK, data__sources=[{"path": str(path)}])
    recipe = run.recipe()
    assert recipe is not None
    data_files.remember(run, recipe)
    before = path.stat().st_size
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    trainings.finish(run)
    warning = next(event for event in history(run) if event.kind == "warning")
    assert warning.data["text"].startswith(f"{path} has changed since the launch: {before:,} bytes of ")
    assert f", {path.stat().st_size:,} bytes of " in warning.data["text"]
    assert run.data_versions()[0].rows == 59
    untouched = trainings.make(**QUICK, data__sources=[{"path": str(path)}])
    data_files.remember(untouched, recipe)
    trainings.finish(untouched)
    assert not [event for event in history(untouched) if event.kind == "warning"]


def test_a_base_model_that_is_gone_before_a_resume_is_named_and_the_run_goes_on_once_it_is_back(
    trainings: Trainings, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(demo.folder(), base)
    run = killed(trainings, model__base=str(base))
    base.rename(tmp_path / "elsewhere")
    gone = trainings.work(run)
    assert gone.state == "failed"
    assert str(base) in gone.text
    (tmp_path / "elsewhere").rename(base)
    assert trainings.work(run).state == "finished"


def test_a_hub_that_can_not_be_reached_ends_the_run_in_a_sentence(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    run = trainings.make(**QUICK | {"model__base": "nobody/nothing-at-all"})
    last = trainings.work(run)
    assert last.state == "failed"
    assert "can't be reached" in last.text
    assert last.hint


# --- checkpoints --------------------------------------------------------------------------------------------------


def test_losses_that_are_logged_at_times_are_the_means_of_all_steps_whatever_is_evaluated_between(
    trainings: Trainings,
) -> None:
    settings = QUICK | {"train__max_steps": 8, "data__validation": 4, "train__eval_steps": 2}
    every = trainings.finish(trainings.make(**settings)).losses
    third = trainings.finish(trainings.make(**settings, train__logging_steps=3)).losses
    assert list(third) == [3, 6]
    for step in third:
        assert third[step][0] == pytest.approx(sum(every[step - back][0] for back in range(3)) / 3, rel=1e-5)


def test_a_checkpoint_holds_all_that_a_resume_needs(trainings: Trainings) -> None:
    run = killed(trainings, data__validation=4, train__eval_steps=1, train__logging_steps=3)
    newest = found(run.checkpoints)[0]
    names = {path.name for path in newest.path.iterdir()}
    assert names >= {
        "adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "ftui.json",
    }
    with zipfile.ZipFile(newest.path / "rng_state.pth") as file:
        pickled = file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))
    words = {value for _, value, _ in pickletools.genops(pickled) if isinstance(value, str)}
    assert words >= {"python", "numpy", "cpu"}
    assert json.loads((newest.path / "trainer_state.json").read_text())["global_step"] == newest.step == 4
    memory = newest.memory()
    assert (memory["best_step"], memory["since_best"]) == (4, 0)
    assert memory["unlogged"]["since"] == 3
    assert memory["unlogged"]["loss"] > 1
    assert memory["tokens_seen"] > 100
    assert len(memory["data"]["digest"]) == 64


@pytest.mark.parametrize("harm", ["torn", "missing", "without its note", "half there"])
def test_a_newest_checkpoint_that_is_damaged_is_passed_over_with_a_word(harm: str, trainings: Trainings) -> None:
    whole = trainings.finish(trainings.make(**QUICK))
    run = killed(trainings)
    newest = run.checkpoints / "checkpoint-4"
    match harm:
        case "torn":
            content = (newest / "adapter_model.safetensors").read_bytes()
            (newest / "adapter_model.safetensors").write_bytes(content[: len(content) // 2])
        case "missing":
            (newest / "scheduler.pt").unlink()
        case "without its note":
            (newest / "ftui.json").write_text("{")
        case "half there":
            newest.rename(newest.with_name(f".{newest.name}.123"))
    assert trainings.finish(run) == whole
    warnings = [event.data["text"] for event in history(run) if event.kind == "warning" and event.attempt == 2]
    assert any("checkpoint-4 can't be used" in text for text in warnings) == (harm != "half there")
    assert next(event.step for event in history(run) if event.kind == "metric" and event.attempt == 2) == 3


def test_a_best_checkpoint_that_is_damaged_at_the_end_is_said_and_not_claimed(trainings: Trainings) -> None:
    run = trainings.make(**EXPLODING)
    last = trainings.work(run, Fault("ftui.worker.jobs.train:_finish", "spoil"))
    assert (last.state, last.text) == ("finished", "Trained 8 steps.")
    assert "eval_loss" not in json.loads((run.output / "ftui.json").read_text())["metrics"]
    assert "can't be used" in [event.data["text"] for event in history(run) if event.kind == "warning"][-1]


class Planted:
    """Unpickled it writes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.trace, "w")


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "pytorch_model.bin"]
)
def test_a_malicious_pickle_in_a_checkpoint_does_nothing(name: str, trainings: Trainings, tmp_path: Path) -> None:
    run = killed(trainings)
    newest = run.checkpoints / "checkpoint-4"
    assert not (newest / "training_args.bin").exists()
    trace = tmp_path / "it-ran"
    (newest / name).write_bytes(pickle.dumps(Planted(trace)))
    # Whoever can write there can write the manifest, too.
    manifest = json.loads((newest / "ftui.json").read_text())
    from ftui.worker.checkpoints import _checksum

    manifest["files"][name] = [(newest / name).stat().st_size, _checksum(newest / name)]
    (newest / "ftui.json").write_text(json.dumps(manifest))
    last = trainings.work(run)
    assert not trace.exists(), "the pickle was run"
    if name == "training_args.bin":
        assert last.state == "finished", "nobody opens it"
        return
    assert last.state == "failed"
    assert "holds something else than numbers" in last.text
    shutil.rmtree(newest)
    assert trainings.work(run).state == "finished"
    assert not trace.exists()


def test_a_file_that_nobody_wrote_there_makes_a_checkpoint_untrusted(trainings: Trainings) -> None:
    run = killed(trainings)
    (run.checkpoints / "checkpoint-4" / "pytorch_model.bin").write_bytes(b"anything")
    assert Checkpoint(run.checkpoints / "checkpoint-4", 4).problem() == (
        "pytorch_model.bin was put there by somebody else"
    )
    assert trainings.work(run).state == "finished"


# --- clock and company --------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_a_day_changes_no_curve(trainings: Trainings) -> None:
    whole = trainings.finish(trainings.make(**QUICK))
    run = trainings.make(**QUICK)
    assert trainings.finish(run, Fault(STEP, "yesterday", nth=3)) == whole
    events = history(run)
    assert min(event.time for event in events) < events[0].time - 80_000
    assert list(curve(events, "loss").steps) == [1, 2, 3, 4, 5, 6]


def test_two_apps_on_one_run_see_the_same_and_both_are_obeyed(trainings: Trainings, reach: Reach) -> None:
    run = trainings.make(**QUICK | {"train__max_steps": 400, "train__save_steps": 1000})
    first, second = Follower(run), Follower(run)
    trainings.begin(run)
    reach(run, lambda now: (now.step or 0) >= 2, 60)
    inbox.send(run, "checkpoint")
    reach(run, lambda now: bool(found(run.checkpoints)), 60)
    inbox.send(run, "stop")
    control.stop(run)
    assert reach(run, lambda now: now.over, 60).state == "stopped"
    assert first.poll() == second.poll() == history(run)
    reasons = [event.data["reason"] for event in history(run) if event.kind == "checkpoint"]
    assert reasons == ["asked", "stop"]
