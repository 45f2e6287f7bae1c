"""A run that was interrupted goes on as if nothing had been, or says plainly why it can't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

METHODS: dict[str, dict[str, Any]] = {
    "lora": {"adapter__dropout": 0.1},
    "qlora": {"model__quantization": "nf4"},
    "full": {"adapter": None, "train__learning_rate": 1e-3},
    "accumulation": {"train__micro_batch": 2, "train__neftune": 5.0, "train__checkpointing": True},
}
CRASH = RuntimeError("the power went")


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        found |= load_file(file)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(
    method: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path
) -> None:
    whole = work(make(**METHODS[method]))
    broken = work(make(**METHODS[method]), commanded({5: CRASH}))
    assert broken.end["status"] == "failed"
    assert work(broken.run).end["status"] == "finished"
    assert broken.of("metric")[-1].attempt == 2
    assert broken.losses == whole.losses
    ours, theirs = weights(broken.run.output), weights(whole.run.output)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert broken.end["metrics"]["tokens"] == whole.end["metrics"]["tokens"]


def test_a_damaged_newest_checkpoint_falls_back_and_says_so(
    make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path
) -> None:
    settings = {"train__save_steps": 2, "data__validation": 0, "train__max_steps": 7}
    whole = work(make(**settings))
    broken = work(make(**settings), commanded({5: CRASH}))
    file = broken.run.checkpoints / "checkpoint-4" / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:1000])
    work(broken.run)
    warning = broken.of("warning")[-1].data["text"]
    assert "checkpoint-4" in warning
    assert "optimizer.pt" in warning
    assert broken.losses == whole.losses
    assert [event.step for event in broken.of("metric") if event.attempt == 2] == [3, 4, 5, 6, 7]


def test_no_sound_checkpoint_left_is_an_error_and_not_a_silent_new_start(
    make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path
) -> None:
    broken = work(make(train__save_steps=2), commanded({3: CRASH}))
    for checkpoint in broken.run.checkpoints.iterdir():
        (checkpoint / "optimizer.pt").unlink()
    again = work(broken.run)
    assert again.end["status"] == "failed"
    assert "can be used" in again.end["text"]


def test_early_stopping_keeps_the_best(train: Callable[..., Any], random_demo: Path) -> None:
    ran = train(
        adapter=None, train__learning_rate=0.5, train__schedule="constant", train__warmup=0.0, train__max_steps=40,
        train__eval_steps=1, evaluate__patience=2, train__max_grad_norm=0.0, train__keep_checkpoints=1,
    )
    assert ran.end["status"] == "finished", ran.end
    evaluations = [(event.step, event.data["eval_loss"]) for event in ran.of("evaluation")]
    best_step, best = min(evaluations, key=lambda item: item[1])
    assert evaluations[-1][0] == best_step + 2
    assert "Stopped early" in ran.end["text"]
    assert ran.end["metrics"]["eval_loss"] == best
    kept = {path.name for path in ran.run.checkpoints.iterdir()}
    assert f"checkpoint-{best_step}" in kept
    checkpoint, output = weights(ran.run.checkpoints / f"checkpoint-{best_step}"), weights(ran.run.output)
    assert all((checkpoint[name] == output[name]).all() for name in output)


def test_a_loss_that_is_no_number_ends_the_run_with_a_diagnosis(
    make: Callable[..., Any], work: Callable[..., Any], random_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker.objectives.sft import SftTrainer

    plain = SftTrainer.compute_loss

    def spoiled(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = plain(self, *args, **kwargs)
        return loss * float("nan") if self.model.training and self.state.global_step >= 3 else loss

    monkeypatch.setattr(SftTrainer, "compute_loss", spoiled)
    ran = work(make(train__max_steps=30, train__save_steps=2, train__eval_steps=100))
    assert ran.end["status"] == "failed"
    assert "since step 4" in ran.end["text"]
    assert "learning_rate" in ran.end["hint"]
    assert ran.of("diagnosis")[0].data["name"] == "diverged"
    assert ran.losses[4] is None
    assert {path.name for path in ran.run.checkpoints.iterdir()} == {"checkpoint-2"}
