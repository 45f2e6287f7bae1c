"""Guardrails: what published experience speaks against is said, with what to do, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner import plan, resolve, risks
from ftui.planner.document import Risk
from ftui.planner.guardrails import fed_rank
from ftui.recipe import Recipe, assign


def found_in(box: Hardware, shape: ModelShape, profile: DataProfile | None, fixed: dict[str, Any]) -> list[Risk]:
    draft = assign(Recipe(), fixed)
    return list(risks(resolve(draft, plan(box, shape, profile, draft)), box, shape, profile))


LORA = {"adapter.kind": "lora"}


@pytest.mark.parametrize(("fixed", "path", "words"), [
    ({"train.warmup": 0.4}, "train.warmup", "leaves little"),
    ({"train.optimizer": "sgd"}, "train.optimizer", "hardly trains"),
    ({**LORA, "train.effective_batch": 512, "train.micro_batch": 1}, "train.effective_batch", "large batch"),
    ({**LORA, "adapter.rank": 64, "adapter.alpha": 256.0, "train.learning_rate": 1e-3}, "adapter.alpha", "times those"),
    ({**LORA, "adapter.alpha": 1.0, "train.learning_rate": 1e-4}, "adapter.alpha", "hardly moves"),
    ({**LORA, "adapter.rank": 64, "adapter.alpha": 128.0, "adapter.rslora": True}, "adapter.alpha", "rank-stabilized"),
    ({"model.attention": "eager", "data.max_length": 8192}, "model.attention", "square of the length"),
    ({"model.dtype": "float32"}, "model.dtype", "twice the memory"),
    ({"data.packing": True, "train.trainer": "transformers"}, "data.packing", "apart"),
    ({"objective.kind": "dpo", "train.learning_rate": 2e-4}, "train.learning_rate", "many times"),
    ({"objective.kind": "kto", "train.micro_batch": 1, "train.effective_batch": 8}, "train.micro_batch", "baseline"),
])
def test_each_guardrail_names_its_setting_says_what_to_do_and_who_says_so(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile],
    fixed: dict[str, Any], path: str, words: str,
) -> None:
    found = found_in(boxes["h200"], shapes["llama3-8b"], rows(), fixed)
    risk = next(risk for risk in found if risk.path == path and words in risk.text)
    assert risk.hint
    assert risk.source.startswith("https://")


def test_what_peft_refuses_on_fused_experts_is_said_before(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    box, shape = boxes["a100"], shapes["mixture"]
    for fixed, path in (({"adapter.dropout": 0.1}, "adapter.dropout"), ({"adapter.dora": True}, "adapter.dora")):
        found = found_in(box, shape, rows(), {**LORA, **fixed})
        assert any(risk.path == path and "would not start" in risk.text for risk in found)
        attention = found_in(box, shape, rows(), {**LORA, **fixed, "adapter.targets": ("q_proj", "v_proj")})
        assert not any("would not start" in risk.text for risk in attention)


def test_gemma_in_float16_is_a_risk_and_other_families_are_not(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    gemma = shapes["qwen2-0.5b"].model_copy(update={"model_type": "gemma3_text"})
    assert any("float16's range" in risk.text for risk in found_in(boxes["t4"], gemma, None, LORA))
    assert not any("range" in risk.text for risk in found_in(boxes["t4"], shapes["qwen2-0.5b"], None, LORA))


def test_packed_rows_see_each_other_in_layers_that_carry_a_state(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    hybrid = shapes["qwen2-0.5b"].model_copy(update={"model_type": "qwen3_next"})
    fixed = {**LORA, "data.packing": True}
    assert any("carry a state" in risk.text for risk in found_in(boxes["a100"], hybrid, rows(), fixed))
    assert not any(risk.path == "data.packing" for risk in found_in(boxes["a100"], shapes["qwen2-0.5b"], rows(), fixed))


def test_few_rows_are_too_few_for_full_tuning_and_too_many_tokens_for_a_small_rank(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    shape = shapes["qwen2-0.5b"]
    few = found_in(boxes["a100"], shape, rows(400), {"adapter.kind": "none"})
    assert any("forgets more" in risk.text for risk in few)
    many = found_in(boxes["a100"], shape, rows(2_000_000), {**LORA, "adapter.rank": 4})
    assert any("more than" in risk.text and risk.path == "adapter.rank" for risk in many)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(20, 200_000), longest=st.integers(64, 20_000),
    task=st.sampled_from(["chat", "instruct", "classify", "domain", "code", "reasoning"]),
    model=st.sampled_from(["qwen2-0.5b", "llama3.2-3b", "llama3-8b"]), name=st.sampled_from(["t4", "3090", "a100"]),
)
def test_the_planners_own_advice_trips_none_of_the_guardrails_on_training(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile],
    count: int, longest: int, task: str, model: str, name: str,
) -> None:
    found = found_in(boxes[name], shapes[model], rows(count, longest=longest), {"goal.task": task})
    spoken = {risk.path for risk in found if risk.source}
    # What the data or the machine make unavoidable may be said; what a rule chose may not.
    assert spoken <= {"adapter.kind", "adapter.rank", "model.dtype"}, found


@pytest.mark.parametrize("kind", ["dpo", "kto", "orpo", "cpo", "grpo", "rloo", "ppo", "online_dpo"])
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_rate_that_the_plan_takes_for_preferences_and_rewards_is_none_that_it_warns_of(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile],
    kind: str, adapter: str,
) -> None:
    large = shapes["llama3-8b"]
    tiny = large.model_copy(update={"parameters": 1_150_000})
    for shape in (large, tiny):
        found = found_in(boxes["h200"], shape, rows(), {"objective.kind": kind, "adapter.kind": adapter})
        assert not any(risk.path == "train.learning_rate" for risk in found), found


@given(first=st.integers(1, 10**6), second=st.integers(1, 10**6))
def test_more_rows_never_feed_a_lower_rank(first: int, second: int) -> None:
    few, many = sorted((first, second))
    assert fed_rank(few) <= fed_rank(many)


def test_no_guardrail_is_raised_twice_for_one_setting(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    fixed = {**LORA, "train.learning_rate": 5e-3, "adapter.alpha": 512.0, "train.warmup": 0.0}
    said = [(risk.path, risk.text) for risk in found_in(boxes["a100"], shapes["llama3-8b"], rows(), fixed)]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("kind", ["grpo", "rloo", "ppo", "online_dpo"])
def test_answers_that_the_model_writes_itself_make_no_prompt_too_long(
    kind: str, boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    whole, prompts = rows(longest=3000).lengths, rows(longest=200).lengths
    assert whole is not None
    assert prompts is not None
    box, shape = boxes["h200"], shapes["llama3-8b"]
    profile = rows().model_copy(update={"lengths": whole, "prompts": prompts})
    asked = {"objective": {"kind": kind, "rewards": ["exact"]}}

    def cuts(length: int, objective: dict[str, Any]) -> list[str]:
        found = found_in(box, shape, profile, {**objective, "data.max_length": length})
        return [risk.text for risk in found if risk.path == "data.max_length"]

    assert cuts(256, asked) == []
    assert "of the rows are longer than 256" in cuts(256, {})[0]
    assert "of the prompts are longer than 64 tokens, and their rows are left out" in cuts(64, asked)[0]
    planned = plan(box, shape, profile, assign(Recipe(), asked))
    choice = next(choice for choice in planned.choices if choice.path == "data.max_length")
    assert int(str(choice.value)) <= 256
    assert "of prompts have at most" in choice.reason


@pytest.mark.parametrize("box", ["none", "t4", "h200"])
def test_what_is_planned_for_kto_has_a_baseline(
    box: str, boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    asked = {"objective.kind": "kto", "data.max_length": 1024}
    found = found_in(boxes[box], shapes["qwen2-0.5b"], rows(kind="labelled"), asked)
    assert not any("baseline" in risk.text for risk in found)
