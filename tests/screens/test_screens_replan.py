"""From an edit to its cost: one estimate at once, the plan with what follows from it after that."""

from __future__ import annotations

import time
from threading import Event
from typing import Any

import pytest
from screens_help import cpu_box, small_profile, until

from ftui import models, planner
from ftui.screens.app import FtuiApp
from ftui.screens.wizard.replan import at_once, replan
from ftui.screens.wizard.state import WizardState
from ftui.screens.wizard.step import Assigned
from ftui.screens.wizard.wizard import WizardScreen, from_preset


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


class Slow:
    """A planner that takes its time, and knows how often it was asked and by how many at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.most = self.now = 0
        self.go = Event()

    def __call__(self, state: WizardState) -> WizardState:
        self.now += 1
        self.most = max(self.most, self.now)
        self.asked.append(state.draft.adapter.rank)  # type: ignore[union-attr]
        assert self.go.wait(20)
        self.now -= 1
        return replan(state)


async def test_of_edits_in_a_row_only_the_first_and_the_last_are_planned(
    planned: WizardState, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    monkeypatch.setattr("ftui.screens.wizard.wizard.replan", slow)
    for name in ("_probe", "_describe", "_profile"):
        monkeypatch.setattr(WizardScreen, name, lambda self: None)
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = WizardScreen()
        screen.set_reactive(WizardScreen.state, planned.having(step="settings"))
        await app.push_screen(screen)
        for rank in range(20, 30):
            screen.post_message(Assigned({"adapter.rank": rank}))
            await pilot.pause(0.01)
        await until(pilot, lambda: slow.asked)
        assert screen.state.outdated
        slow.go.set()
        await until(pilot, lambda: not screen.state.outdated)
        assert (slow.asked[-1], slow.most) == (29, 1)
        assert len(slow.asked) == 2
        assert screen.state.layout is not None
        assert screen.state.layout.recipe.adapter.rank == 29  # type: ignore[union-attr]
