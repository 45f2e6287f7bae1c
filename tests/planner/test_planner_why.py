"""Why not another value: the answer is worked out from the changed recipe, and names the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ftui.data.document import DataProfile
from ftui.errors import BadInput
from ftui.hardware.document import Hardware
from ftui.methods import ADAPTERS
from ftui.models.document import ModelShape
from ftui.planner import compare, estimate, plan, resolve, ways, why_not
from ftui.planner.document import Choice, Plan, Verdict
from ftui.planner.rules import RULES
from ftui.planner.why import answer, compared
from ftui.recipe import Recipe, assign, walk


@dataclass
class Case:
    """A plan with its resolved recipe, to ask about."""

    plan: Plan
    recipe: Recipe
    box: Hardware
    shape: ModelShape
    profile: DataProfile | None

    @property
    def all(self) -> tuple[Any, ...]:
        return self.plan, self.recipe, self.box, self.shape, self.profile


@pytest.fixture
def case(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> Callable[..., Case]:
    def make(box: str = "3090", model: str = "llama3-8b", **fixed: Any) -> Case:
        draft = assign(Recipe(), {path.replace("__", "."): value for path, value in fixed.items()})
        found = plan(boxes[box], shapes[model], rows(), draft)
        return Case(found, resolve(draft, found), boxes[box], shapes[model], rows())

    return make


def test_the_picked_value_is_said_to_be_picked_with_its_reason(case: Callable[..., Case]) -> None:
    one = case()
    found = answer(*one.all, "adapter.rank", str(one.recipe.adapter.rank))  # type: ignore[union-attr]
    assert found.is_picked
    assert "9,400 rows" in found.text
    assert found.source in found.text


def test_the_figures_are_those_of_the_changed_recipe(case: Callable[..., Case]) -> None:
    one = case(train__checkpointing=True)
    before = estimate(one.recipe, one.box, one.shape, one.profile)
    for path, value in (("adapter.rank", 64), ("train.checkpointing", False), ("train.optimizer", "sgd")):
        found = answer(*one.all, path, value)
        after = estimate(assign(one.recipe, {path: value}), one.box, one.shape, one.profile)
        assert found.process_bytes == after.memory.process_bytes
        assert found.more_bytes == after.memory.process_bytes - before.memory.process_bytes
        assert found.fit == after.verdict.fit
        assert found.time_ratio == pytest.approx(after.time.total_seconds / before.time.total_seconds)


def test_full_tuning_that_does_not_fit_is_said_to_miss_and_by_how_much(case: Callable[..., Case]) -> None:
    text = why_not(*case().all, "adapter.kind", "none")
    assert "does not fit" in text
    assert "GiB" in text
    assert "Taken is lora" in text


def test_another_method_is_compared_at_its_own_best(case: Callable[..., Case]) -> None:
    one = case()
    nf4 = next(option for option in (one.plan.recommendation, *one.plan.alternatives) if option.method == "qlora")
    found = answer(*one.all, "model.quantization", "nf4")
    assert found.process_bytes == nf4.memory.process_bytes
    assert found.quality == nf4.quality


def test_what_can_not_be_is_an_answer_and_no_error(case: Callable[..., Case]) -> None:
    assert "can't be" in why_not(*case().all, "train.epochs", "ten")
    text = why_not(*case(box="none", model="tiny").all, "model.dtype", "float16")
    assert "can't be" in text


def test_a_setting_that_no_recipe_has_is_bad_input(case: Callable[..., Case]) -> None:
    with pytest.raises(BadInput):
        why_not(*case().all, "train.nonsense", "1")
    with pytest.raises(BadInput):
        compare(*case().all, "nonsense")


def test_what_must_change_with_it_is_said(case: Callable[..., Case]) -> None:
    one = case(adapter__kind="none", model="qwen2-0.5b")
    assert "adapter.kind=lora" in why_not(*one.all, "model.quantization", "fp4")
    assert "adapter.kind=lora" in why_not(*one.all, "adapter.rank", "16")
    micro = case(train__micro_batch=4, train__effective_batch=16)
    assert "train.effective_batch=18" in why_not(*micro.all, "train.micro_batch", "3")


@pytest.mark.parametrize("path", [
    "adapter.kind", "model.quantization", "model.dtype", "model.attention", "data.packing", "train.checkpointing",
    "adapter.rank", "adapter.targets", "train.learning_rate", "train.schedule",
])
def test_the_options_of_a_choice_are_sorted_by_fit_then_quality_then_time(
    case: Callable[..., Case], path: str
) -> None:
    found = compared(*case().all, path)
    order = {"fits": 0, "tight": 1, "no": 2, None: 3}
    keys = [(order[one.fit], -(one.quality or 0), one.time_ratio or 0) for one in found]
    assert keys == sorted(keys)
    assert sum(one.is_picked for one in found) == 1
    assert all(one.text for one in found)


def test_every_adapter_of_the_catalogue_has_an_answer(case: Callable[..., Case]) -> None:
    found = {one.value: one for one in compared(*case(model="qwen2-0.5b").all, "adapter.kind")}
    assert set(found) == set(ADAPTERS)
    untrained = [kind for kind, row in ADAPTERS.items() if not row.trains]
    assert all("not train it yet" in found[kind].text for kind in untrained if found[kind].fit)
    assert all(found[kind].trains == ADAPTERS[kind].trains for kind in found if found[kind].fit)


def test_every_planned_setting_can_be_asked_about(case: Callable[..., Case]) -> None:
    one = case()
    had = {setting.path for setting in walk(one.all[1])}
    assert set(RULES) - had == {"objective.rewards"}, "nothing rewards supervised fine-tuning"
    for path in RULES:
        assert path not in had or compare(*one.all, path), path


def test_the_question_may_name_a_value_or_none(case: Callable[..., Case]) -> None:
    one = case()
    assert len(compare(*one.all, "train.epochs=4")) == 1
    assert len(compare(*one.all, "train.epochs")) > 1


def test_each_way_of_a_plan_stands_beside_the_one_it_recommends(case: Callable[..., Case]) -> None:
    one = case()
    found = ways(one.plan, one.box, one.shape, one.profile, Recipe())
    options = (one.plan.recommendation, *one.plan.alternatives, *one.plan.rejected)
    assert [each.method for each in found] == [option.method for option in options]
    assert [each.is_picked for each in found] == [True, *[False] * (len(options) - 1)]
    full = next(each for each in found if each.method == "full")
    assert full.verdict is not None
    assert full.fit == "no"
    assert full.verdict.ways_out
    assert "does not fit" in full.text


def test_what_takes_a_value_holds_what_cannot_stay_beside_it(case: Callable[..., Case]) -> None:
    one = case()
    four_times = 4 * int(one.recipe.train.micro_batch)
    found = answer(*one.all, "train.micro_batch", str(four_times))
    assert assign(one.recipe, found.settings).train.effective_batch >= four_times


@pytest.mark.parametrize("together", [True, False])
def test_changes_are_to_be_taken_together_or_each_alone(together: bool) -> None:
    changes = (
        Choice(path="train.checkpointing", value=True, reason="saves 3 GiB", source="formula"),
        Choice(path="adapter.targets", value=("q_proj", "v_proj"), reason="saves 1 GiB", source="formula"),
    )
    verdict = Verdict(fit="no", spare_bytes=-1, text="Does not fit.", changes=changes, together=together)
    assert verdict.ways_out == ((changes,) if together else ((changes[0],), (changes[1],)))
    assert [change.text for change in changes] == ["true", "q_proj,v_proj"]
