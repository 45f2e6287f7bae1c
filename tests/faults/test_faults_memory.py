"""The GPU's memory runs out at every place where a training asks for some: a step, an evaluation, a checkpoint."""

from __future__ import annotations

from typing import Any

import pytest

from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import history
from ftui.worker.checkpoints import found

from .conftest import Outcome, Trainings
from .fault import Fault

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("faults-memory")]

TOLERANCE = 1e-4
"""How far a loss may be from that of larger micro-batches, relative: the same sums in another order, in float32."""
QUICK: dict[str, Any] = {
    "train__max_steps": 6, "train__save_steps": 2, "train__eval_steps": 3, "adapter__dropout": 0.0,
}
STEP, EVALUATION = "ftui.worker.trainer:RunTrainer.training_step", "ftui.worker.trainer:RunTrainer._judged"


def out(target: str, nth: int = 1, **how: Any) -> Fault:
    return Fault(target, "out_of_memory", nth, **how)


def of(run: Run, kind: str) -> list[Event]:
    return [event for event in history(run) if event.kind == kind]


def agree(one: Outcome, other: Outcome) -> None:
    """Every loss and evaluation is the same within the tolerance, and every step was done."""
    assert list(one.losses) == list(other.losses) == list(range(1, 7))
    for step, numbers in one.losses.items():
        assert numbers[0] == pytest.approx(other.losses[step][0], rel=TOLERANCE)
        assert numbers[1] == other.losses[step][1], "the learning rate knows nothing of micro-batches"
    for step, (loss, _) in one.evaluations.items():
        assert loss == pytest.approx(other.evaluations[step][0], rel=TOLERANCE)


@pytest.fixture(scope="module")
def whole() -> dict[str, Outcome]:
    """The undisturbed training, done once."""
    return {}


def undisturbed(trainings: Trainings, whole: dict[str, Outcome]) -> Outcome:
    if not whole:
        whole["of QUICK"] = trainings.finish(trainings.make(**QUICK))
    return whole["of QUICK"]


@pytest.mark.parametrize(
    ("nth", "trained_before", "says"),
    [(1, 0, "The longest rows don't fit"), (2, 0, "CUDA out of memory"), (10, 4, "CUDA out of memory")],
    ids=["the longest rows in the trial", "step 1", "step 5"],
)
def test_out_of_memory_in_a_step_halves_the_micro_batch_and_the_losses_agree(
    nth: int, trained_before: int, says: str, trainings: Trainings, whole: dict[str, Outcome]
) -> None:
    run = trainings.make(**QUICK)
    agree(trainings.finish(run, out(STEP, nth)), undisturbed(trainings, whole))
    [recovery] = of(run, "recovery")
    assert recovery.data["change"] == {"train.micro_batch": 1}
    assert (recovery.data["where"], recovery.data["measured_bytes"] > 0) == ("step", True)
    assert says in recovery.data["text"]
    assert [event.step for event in of(run, "metric") if event.attempt == 1] == list(range(1, trained_before + 1))


@pytest.mark.parametrize(
    ("nth", "says"), [(1, "The longest held-out rows don't fit"), (2, "CUDA out of memory")],
    ids=["in the trial", "at step 3"],
)
def test_out_of_memory_in_an_evaluation_halves_its_own_batch_and_not_the_training_s(
    nth: int, says: str, trainings: Trainings, whole: dict[str, Outcome]
) -> None:
    run = trainings.make(**QUICK)
    agree(trainings.finish(run, out(EVALUATION, nth)), undisturbed(trainings, whole))
    [recovery] = of(run, "recovery")
    assert recovery.data["change"] == {"evaluate.batch": 1}
    assert recovery.data["where"] == "evaluation"
    assert says in recovery.data["text"]
    trained = [event.step for event in of(run, "metric") if event.attempt == 1]
    assert trained == ([] if nth == 1 else [1, 2, 3]), "the trial comes before the first step"


def test_out_of_memory_at_a_checkpoint_is_tried_again_and_then_costs_only_that_one(
    trainings: Trainings, whole: dict[str, Outcome]
) -> None:
    once, twice = trainings.make(**QUICK), trainings.make(**QUICK)
    write = "ftui.worker.checkpoints:write"
    assert trainings.finish(once, out(write)) == undisturbed(trainings, whole)
    assert not of(once, "warning")
    # The second fault is met by the second try.
    assert trainings.finish(twice, out(write), out(write)) == undisturbed(trainings, whole)
    [warning] = of(twice, "warning")
    assert warning.data["text"] == "No checkpoint was written at step 2: memory ran out."
    assert not of(twice, "recovery")
    assert next(checkpoint.step for checkpoint in found(twice.checkpoints)) == 6


def test_out_of_memory_at_the_result_is_tried_again_after_the_cache_is_given_back(
    trainings: Trainings, whole: dict[str, Outcome]
) -> None:
    run = trainings.make(**QUICK)
    assert trainings.finish(run, out("ftui.worker.output:save")) == undisturbed(trainings, whole)


@pytest.mark.parametrize(
    "target", ["transformers.trainer:Trainer._load_optimizer_and_scheduler", STEP], ids=["loading it", "in the trial"]
)
def test_out_of_memory_on_a_resume_goes_on_from_the_same_checkpoint(
    target: str, trainings: Trainings, whole: dict[str, Outcome]
) -> None:
    run = trainings.make(**QUICK)
    assert trainings.work(run, Fault("ftui.worker.session:Session.on_step_begin", "kill", nth=5)).state == "crashed"
    agree(trainings.finish(run, out(target)), undisturbed(trainings, whole))
    [recovery] = of(run, "recovery")
    assert (recovery.attempt, recovery.data["change"]) == (2, {"train.micro_batch": 1})
    assert [event.step for event in of(run, "metric") if event.attempt == 3] == [5, 6]


def test_out_of_memory_while_the_prompts_are_answered_is_said_once_and_changes_no_number(
    trainings: Trainings, whole: dict[str, Outcome]
) -> None:
    run = trainings.make(**QUICK)
    assert trainings.finish(run, out("ftui.worker.answers:answer", lasting=True)) == undisturbed(trainings, whole)
    [warning] = of(run, "warning")
    assert warning.data["text"].startswith("The prompts weren't answered at step 3: memory ran out.")
    assert not of(run, "sample")
    assert not of(run, "recovery")


def test_out_of_memory_while_the_model_is_loaded_shrinks_no_batch_in_vain(trainings: Trainings) -> None:
    load = "ftui.worker.jobs.train:load_model"
    run = trainings.make(**QUICK)
    last = trainings.work(run, out(load))
    assert last.state == "failed"
    assert "memory ran out at" in last.text
    assert last.hint == "Try --set model.quantization=nf4."
    assert not of(run, "recovery")
    assert trainings.work(run).state == "finished", "nothing else was in its way"
    allowed = trainings.make(**QUICK, recovery__out_of_memory=["halve_batch", "quantize_base"])
    assert trainings.work(allowed, out(load)).state == "finished"
    assert [event.data["change"] for event in of(allowed, "recovery")] == [{"model.quantization": "nf4"}]
