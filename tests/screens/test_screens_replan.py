"""From an edit to its cost: one estimate at once, the plan with what follows from it after that."""

from __future__ import annotations

import time
from typing import Any

import pytest
from screens_help import cpu_box, small_profile

from ftui import models, planner
from ftui.screens.wizard.replan import at_once, replan
from ftui.screens.wizard.state import WizardState
from ftui.screens.wizard.wizard import from_preset


@pytest.fixture
def planned() -> WizardState:
    state = from_preset("cpu-demo").having(hardware=cpu_box(), shape=models.describe("demo"), profile=small_profile())
    return replan(state)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The planner's questions, in the order in which they are asked."""
    seen: list[str] = []
    for name in ("plan", "estimate"):
        def counting(*given: Any, name: str = name, answer: Any = getattr(planner, name)) -> Any:
            seen.append(name)
            return answer(*given)

        monkeypatch.setattr(planner, name, counting)
    return seen


def test_an_edit_is_one_estimate_and_no_plan(planned: WizardState, asked: list[str]) -> None:
    edited = at_once(planned.assigned({"adapter.rank": 64}))
    assert asked == ["estimate"]
    assert edited.estimate is not None
    assert planned.estimate is not None
    more = edited.estimate.memory.process_bytes - planned.estimate.memory.process_bytes
    assert more > 0
    assert edited.moved is not None
    assert edited.moved.bytes == more


def test_the_plan_that_follows_says_the_same_where_nothing_else_moves(planned: WizardState) -> None:
    edited = at_once(planned.assigned({"train.micro_batch": 2, "train.effective_batch": 4}))
    after = replan(edited)
    assert after.at_once is None
    assert edited.estimate == after.estimate
    assert edited.moved is not None
    assert after.moved is not None
    assert edited.moved.bytes == after.moved.bytes


def test_edits_add_up_until_the_plan_is_there(planned: WizardState) -> None:
    first = at_once(planned.assigned({"adapter.rank": 64}))
    second = at_once(first.assigned({"data.max_length": 64}))
    both = at_once(planned.assigned({"adapter.rank": 64, "data.max_length": 64}))
    assert second.estimate == both.estimate


def test_what_an_edit_leaves_open_waits_for_the_plan(planned: WizardState) -> None:
    edited = at_once(planned.assigned({"train.micro_batch": "auto"}))
    assert edited.at_once is None
    assert edited.estimate == planned.estimate
    assert at_once(planned.having(layout=None)).estimate is None


def test_an_edit_is_answered_within_milliseconds(planned: WizardState) -> None:
    def seconds(rank: int) -> float:
        state = planned.assigned({"adapter.rank": rank})
        begun = time.process_time()
        at_once(state)
        return time.process_time() - begun

    # A frame of the terminal, on the busiest of machines; benchmarks/plan.py says what it takes.
    assert min(seconds(rank) for rank in range(20, 30)) < 0.03
