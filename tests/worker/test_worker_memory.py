"""When memory runs out: in the first minute or later, with remedies or without."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.runs.folder import Run
from ftui.runs.follow import history

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]


@pytest.fixture
def small_card(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let training steps of more than so many rows run out of memory, from a given step on."""

    def limit(rows: int, *, from_step: int = 0, checkpointing_helps: bool = False) -> None:
        import torch

        from ftui.worker.objectives.sft import SftTrainer

        plain = SftTrainer.compute_loss

        def compute_loss(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            room = rows * (2 if checkpointing_helps and self.args.gradient_checkpointing else 1)
            if self.model.training and self.state.global_step >= from_step and len(inputs["input_ids"]) > room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return plain(self, model, inputs, *args, **kwargs)

        monkeypatch.setattr(SftTrainer, "compute_loss", compute_loss)

    return limit


def test_the_trial_step_finds_that_the_longest_rows_do_not_fit_and_the_batch_is_halved(
    train: Callable[..., Any], small_card: Callable[..., None], random_demo: Path
) -> None:
    plain = train()
    small_card(1)
    ran = train()
    assert ran.end["status"] == "finished", ran.end
    recoveries = ran.of("recovery")
    assert [event.data["change"] for event in recoveries] == [{"train.micro_batch": 2}, {"train.micro_batch": 1}]
    assert "longest rows don't fit" in recoveries[0].data["text"]
    assert min(event.seq for event in ran.of("metric")) > recoveries[-1].seq, "nothing was trained before"
    assert ran.losses == pytest.approx(plain.losses, abs=1e-4), "the effective batch stays"


def test_later_on_it_goes_on_from_the_last_checkpoint_and_a_resume_remembers_the_change(
    make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any],
    small_card: Callable[..., None], random_demo: Path,
) -> None:
    small_card(2, from_step=4)
    ran = work(make(train__max_steps=8), commanded({9: RuntimeError("the power went")}))
    assert [event.data["change"] for event in ran.of("recovery")] == [{"train.micro_batch": 2}]
    assert [event.step for event in ran.of("metric")][:6] == [1, 2, 3, 4, 4, 5]
    assert work(ran.run).end["status"] == "finished"
    assert len(ran.of("recovery")) == 1
    assert sorted(ran.losses) == list(range(1, 9))


def test_on_a_resume_the_trial_step_has_the_optimizer_s_states_of_the_checkpoint(
    make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ftui.worker import canary

    plain, states, evaluated = canary.run, [], []

    def run(trainer: Any, *args: Any, **more: Any) -> int:
        states.append(any(trainer.optimizer.optimizer.state.values()))
        evaluated.append(more["evaluated"])
        return plain(trainer, *args, **more)

    monkeypatch.setattr(canary, "run", run)
    ran = work(make(evaluate__batch=2), commanded({5: RuntimeError("the power went")}))
    assert work(ran.run).end["status"] == "finished"
    assert states == [False, True]
    assert evaluated == [2, 2], "the longest held-out rows are tried in the evaluation's own batches"


def test_remedies_are_tried_in_the_order_of_the_recipe(
    train: Callable[..., Any], small_card: Callable[..., None], random_demo: Path
) -> None:
    small_card(2, checkpointing_helps=True)
    ran = train(recovery__out_of_memory=["checkpointing", "halve_batch"], train__max_steps=2)
    assert [event.data["change"] for event in ran.of("recovery")] == [{"train.checkpointing": True}]
    assert ran.end["status"] == "finished"


def test_a_base_in_four_bits_is_the_last_remedy_and_says_that_it_changes_the_numbers(
    train: Callable[..., Any], random_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from ftui.worker.objectives.sft import SftTrainer

    plain = SftTrainer.compute_loss

    def compute_loss(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if self.model.training and not getattr(self.model, "is_loaded_in_4bit", False):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(SftTrainer, "compute_loss", compute_loss)
    ran = train(train__micro_batch=1, recovery__out_of_memory=["halve_batch", "quantize_base"], train__max_steps=2)
    assert ran.end["status"] == "finished", ran.end
    [recovery] = ran.of("recovery")
    assert recovery.data["change"] == {"model.quantization": "nf4"}
    assert "changes the numbers" in recovery.data["text"]


def test_a_remedy_that_could_not_be_trained_with_is_skipped(
    train: Callable[..., Any], small_card: Callable[..., None], random_demo: Path
) -> None:
    small_card(0)
    ran = train(
        adapter__init="pissa", recovery__out_of_memory=["quantize_base", "checkpointing"], train__max_steps=1,
    )
    assert [event.data["change"] for event in ran.of("recovery")] == [{"train.checkpointing": True}]
    assert ran.end["status"] == "failed"


def test_under_a_real_limit_of_memory_it_goes_on_with_smaller_batches_in_a_fresh_process(
    make: Callable[..., Run], random_demo: Path
) -> None:
    """The limit lets the libraries load (1.3 GiB) and 200 rows train, but not 400 with whole logits."""
    run = make(
        train__micro_batch=400, train__effective_batch=400, train__loss="full", train__max_steps=3, train__warmup=0.0,
        data__validation=0.1, data__max_length=256, evaluate__prompts=[], train__eval_steps=3,
    )
    limit = 2_300_000 << 10

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "ftui.worker", str(run.path)], preexec_fn=limited, capture_output=True, text=True,
        timeout=400, env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    events = history(run)
    assert done.returncode == 0, events[-1].data.get("text")
    changes = [event.data["change"] for event in events if event.kind == "recovery"]
    assert changes[0] == {"train.micro_batch": 200}
    assert all("ran out at " in event.data["text"] for event in events if event.kind == "recovery")
    assert events[-1].attempt == 1 + len(changes)
    assert [event.step for event in events if event.kind == "metric"] == [1, 2, 3]


def test_without_remedies_it_fails_with_one_sentence_and_what_to_change(
    train: Callable[..., Any], small_card: Callable[..., None], random_demo: Path
) -> None:
    small_card(1)
    ran = train(recovery__out_of_memory=[])
    assert ran.end["status"] == "failed"
    assert "longest rows don't fit" in ran.end["text"]
    assert "GiB" in ran.end["text"]
    assert "train.micro_batch=2" in ran.end["hint"]
    assert not ran.of("metric")


def test_the_trial_step_leaves_no_trace_in_the_curve(
    train: Callable[..., Any], random_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker import canary

    for settings in ({"adapter__dropout": 0.1}, {"adapter": None, "train__optimizer": "adamw_8bit"}):
        with_trial = train(**settings)
        assert any("longest rows" in event.data["text"] for event in with_trial.of("status"))
        with monkeypatch.context() as patch:
            patch.setattr(canary, "is_worthwhile", lambda device, plan: False)
            without = train(**settings)
        assert with_trial.losses == without.losses
