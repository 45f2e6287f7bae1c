"""How steps are computed, looked at, kept and handed on: each setting takes effect in the worker."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("worker")]


def test_compiled_steps_come_to_the_same(train: Callable[..., Any], random_demo: Path) -> None:
    plain = train(train__max_steps=2, data__validation=4, data__padding="max_length", data__max_length=32)
    compiled = train(
        train__max_steps=2, data__validation=4, data__padding="max_length", data__max_length=32, train__compile=True
    )
    assert compiled.end["status"] == "finished", compiled.end
    assert compiled.losses == pytest.approx(plain.losses, abs=1e-4)
    assert compiled.end["metrics"]["eval_loss"] == pytest.approx(plain.end["metrics"]["eval_loss"], abs=1e-4)


def test_a_deterministic_run_is_the_same_run_again(train: Callable[..., Any], random_demo: Path) -> None:
    try:
        ran = train(train__max_steps=2, train__deterministic=True, adapter__dropout=0.1)
        assert torch.are_deterministic_algorithms_enabled()
        again = train(train__max_steps=2, train__deterministic=True, adapter__dropout=0.1)
    finally:
        torch.use_deterministic_algorithms(False)
    assert ran.end["status"] == "finished", ran.end
    assert again.losses == ran.losses


def test_the_first_evaluation_is_before_any_step_and_changes_nothing(
    train: Callable[..., Any], random_demo: Path
) -> None:
    plain, looked = train(data__validation=8), train(data__validation=8, evaluate__first=True)
    first = looked.of("evaluation")[0]
    assert (first.step, first.data["reason"], first.data["best"]) == (0, "start", False)
    assert math.isfinite(first.data["eval_loss"])
    assert {event.step for event in looked.of("sample")} > {0}
    assert looked.losses == plain.losses
    assert len(looked.of("evaluation")) == len(plain.of("evaluation")) + 1
    assert [event.step for event in looked.of("checkpoint")] == [event.step for event in plain.of("checkpoint")]


def test_a_checkpoint_comes_when_its_minutes_are_over(
    train: Callable[..., Any], random_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker import session

    class Clock:
        """A minute at each look."""

        now = 0.0
        perf_counter, time = session.time.perf_counter, session.time.time

        def monotonic(self) -> float:
            self.now += 60
            return self.now

    monkeypatch.setattr(session, "time", Clock())
    ran = train(train__save_steps=1000, train__save_minutes=2.5, data__validation=0)
    assert ran.end["status"] == "finished", ran.end
    assert [event.step for event in ran.of("checkpoint")] == [3]
