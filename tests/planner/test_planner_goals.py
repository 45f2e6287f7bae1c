"""From a wish and a kind of rows to an objective, exhaustively."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from ftui.data.document import DataProfile, RowKind, Source
from ftui.data.forms import KINDS as FORMS
from ftui.hardware.document import Hardware
from ftui.methods import OBJECTIVES
from ftui.models import ModelShape
from ftui.models.known import Goal as Known
from ftui.planner import plan, resolve
from ftui.planner.rules.goals import KINDS, LACKS, NEEDS, RATHER, WISHES, lacks, like, ways
from ftui.planner.rules.job import ONLINE, TASK_NAMES
from ftui.recipe import Recipe, assign, walk

ROW_KINDS: tuple[RowKind, ...] = get_args(RowKind)
CASES = [(task, kind) for task in WISHES for kind in (None, *ROW_KINDS)]


def test_the_wishes_are_the_recipes_tasks_and_each_is_like_one_that_the_rules_know() -> None:
    task = next(setting for setting in walk() if setting.path == "goal.task")
    assert tuple(WISHES) == task.choices == tuple(sorted(TASK_NAMES, key=task.choices.index))
    assert {like(name) for name in WISHES} == set(get_args(Known))
    assert all(like(name) == name for name in get_args(Known))
    assert set(KINDS) == set(ROW_KINDS)


@pytest.mark.parametrize(("task", "kind"), CASES)
def test_every_wish_with_every_kind_of_rows_leads_to_something_that_trains(task: str, kind: RowKind | None) -> None:
    found = ways(task, kind)
    assert [way.objective for way in found if way.fit == "pick"] == [found[0].objective]
    assert sorted(way.objective for way in found) == sorted(OBJECTIVES)
    fits = [way.fit for way in found]
    assert fits == sorted(fits, key=["pick", "possible", "impossible"].index)
    for way in found:
        row = OBJECTIVES[way.objective]
        can = row.trains and (kind is None or kind in row.data)
        assert (way.fit != "impossible") is can, way
        assert way.reason
        assert bool(way.needs) is (way.objective in NEEDS)


@pytest.mark.parametrize(("task", "kind", "objective"), [
    ("instruct", "conversation", "sft"), ("chat", "conversation", "sft"), ("domain", "text", "sft"),
    ("prefer", "preference", "dpo"), ("prefer", "labelled", "kto"), ("prefer", "conversation", "sft"),
    ("prefer", "prompt", "online_dpo"), ("judge", "preference", "reward"), ("judge", "conversation", "sft"),
    ("reasoning", "prompt", "grpo"), ("reasoning", "conversation", "sft"), ("reasoning", "preference", "dpo"),
    ("code", "prompt", "grpo"), ("instruct", "preference", "dpo"), ("domain", "labelled", "kto"),
    ("tools", "conversation", "sft"), ("prefer", None, "dpo"), ("judge", None, "reward"), ("chat", None, "sft"),
])
def test_the_pick_serves_the_wish_among_what_the_rows_can_teach(
    task: str, kind: RowKind | None, objective: str
) -> None:
    assert ways(task, kind)[0].objective == objective


def test_rows_of_classes_are_classified_and_a_teacher_is_asked_where_that_trains() -> None:
    """Both follow the catalogue: what can't be trained yet is no pick."""
    for task, kind, objective in (("instruct", "class", "classify"), ("distill", "conversation", "distill")):
        trains = objective in OBJECTIVES and OBJECTIVES[objective].trains
        assert ways(task, kind)[0].objective == (objective if trains else "sft")  # type: ignore[arg-type]


def test_nothing_that_rewards_its_own_answers_is_picked_where_the_rows_hold_answers() -> None:
    for task, kind in CASES:
        assert kind == "prompt" or ways(task, kind)[0].objective not in ONLINE


def test_why_not_names_what_the_rows_lack() -> None:
    """The sentence that a person needs: which column is missing, not which class refused."""
    assert lacks("dpo", "conversation") == "the rows have no rejected answers"
    assert "no answers to imitate" in lacks("sft", "prompt")
    reason = ways("prefer", "conversation")[0].reason
    assert reason.startswith("the rows are answers to imitate")
    assert "Direct preference optimization can't be: the rows have no rejected answers" in reason


def test_every_pair_of_a_form_and_a_kind_that_it_cannot_use_has_its_own_sentence() -> None:
    for form, kinds in FORMS.items():
        assert set(LACKS[form]) | set(kinds) == set(ROW_KINDS), form
        assert not set(LACKS[form]) & set(kinds), form
    assert set(RATHER) >= set(OBJECTIVES)


@pytest.mark.parametrize(("task", "columns", "rewards"), [
    ("reasoning", ("prompt", "answer"), ("exact",)), ("reasoning", ("prompt",), ()),
    ("chat", ("prompt", "answer"), ()),
])
def test_right_answers_are_rewarded_where_the_goal_is_to_reason_and_the_rows_hold_them(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile], task: str,
    columns: tuple[str, ...], rewards: tuple[str, ...],
) -> None:
    source = Source(ref="rows.jsonl", rows=9400, format="prompt", confidence=1.0, available_columns=columns)
    profile = rows(kind="prompt").model_copy(update={"sources": (source,)})
    draft = assign(Recipe(), {"goal.task": task})
    resolved = resolve(draft, plan(boxes["a100"], shapes["llama3-8b"], profile, draft))
    assert resolved.objective.kind == "grpo"
    assert resolved.objective.rewards == rewards
    own = assign(draft, {"objective.kind": "rloo", "objective.rewards": ["json"]})
    assert resolve(own, plan(boxes["a100"], shapes["llama3-8b"], profile, own)).objective.rewards == ("json",)
