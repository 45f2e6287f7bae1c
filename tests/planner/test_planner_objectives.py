"""Objectives beside supervised fine-tuning: against traced steps of trl's trainers, and by what must always hold."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.methods import OBJECTIVES
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import estimate, plan, resolve
from ftui.planner.allocator import formula_doubt
from ftui.planner.memory import memory, moments, process_bytes
from ftui.planner.objectives import loss, second_model_bytes
from ftui.planner.setup import Setup, setup_of
from ftui.planner.states import weight_bytes
from ftui.planner.work import Batch, parts
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import planned_only

TRACED = json.loads((Path(__file__).parent / "traced_objectives.json").read_text("utf-8"))["cases"]
GENERATING = ("grpo", "rloo", "online_dpo", "ppo", "distill")
UNTRACED = {"classify", "online_dpo", "ppo"}
"""Computed as others are that were traced: a reward model, and GRPO with what its own loss adds."""
ASKED: dict[str, Any] = {
    "adapter.rank": 16, "adapter.alpha": 32, "adapter.dropout": 0.0, "model.quantization": "none",
    "model.dtype": "bfloat16", "model.attention": "sdpa", "data.max_length": 512, "data.packing": False,
    "data.padding": "max_length", "train.optimizer": "adamw", "train.checkpointing": True,
}
FULL = {path: value for path, value in ASKED.items() if not path.startswith("adapter.")} | {"adapter": {"kind": "none"}}


def setup(shape: ModelShape, machine: Hardware, kind: str, rows: int = 2, full: bool = False, **more: Any) -> Setup:
    """The setup of a recipe for this objective."""
    asked = (FULL if full else ASKED) | {
        "objective.kind": kind, "train.micro_batch": rows, "train.effective_batch": rows,
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return setup_of(assign(Recipe(), asked), machine, shape, None)


def test_the_formula_meets_traced_steps_of_trls_trainers(box: Callable[..., Hardware]) -> None:
    errors = {}
    for row in TRACED:
        shape = build(row["config"], Origin("traced", "config"))
        found = memory(setup_of(assign(Recipe(), row["asked"]), box(), shape, None))
        errors[row["name"]] = found.allocated_bytes / row["allocated"] - 1
    assert {row["asked"]["objective.kind"] for row in TRACED} == set(OBJECTIVES) - {"sft"} - UNTRACED
    assert statistics.median(map(abs, errors.values())) <= 0.005
    assert max(map(abs, errors.values())) <= 0.03, errors


@pytest.mark.parametrize("kind", [kind for kind in OBJECTIVES if kind != "sft"])
@pytest.mark.parametrize("full", [False, True])
def test_each_objective_is_planned_and_estimated(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware], rows: Callable[..., DataProfile], kind: str, full: bool
) -> None:
    data = rows(kind=OBJECTIVES[kind].data[0])
    draft = assign(Recipe(), {"model.base": "some/model", "objective.kind": kind})
    draft = assign(draft, {"adapter.kind": "none"}) if full else draft
    shape = shapes["qwen2-0.5b"]
    resolved = resolve(draft, plan(box(), shape, data, draft))
    assert resolved.objective.kind == kind
    found = estimate(resolved, box(), shape, data)
    parts = found.memory.parts.model_dump()
    assert sum(parts.values()) == found.memory.process_bytes
    assert found.memory.low_bytes <= found.memory.process_bytes <= found.memory.high_bytes
    assert found.time.total_seconds > 0


@pytest.mark.parametrize("kind", ["dpo", "orpo", "cpo", "reward"])
def test_a_pair_takes_two_sequences(shapes: dict[str, ModelShape], box: Callable[..., Hardware], kind: str) -> None:
    shape = shapes["llama3-8b"]
    paired, single = setup(shape, box(), kind, rows=2), setup(shape, box(), "sft", rows=4)
    assert paired.tokens == single.tokens
    assert setup(shape, box(), kind, rows=3).tokens == 1.5 * paired.tokens


def test_the_reference_is_the_adapter_switched_off_or_a_copy_or_computed_before(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware]
) -> None:
    shape = shapes["qwen2-0.5b"]
    for kind in ("dpo", "kto"):
        adapter, full = setup(shape, box(), kind), setup(shape, box(), kind, full=True)
        assert (adapter.reference, full.reference) == ("adapter off", "copy")
        assert second_model_bytes(adapter) == 0
        assert memory(full).parts.reference == weight_bytes(full)
        before = setup(shape, box(), kind, full=True, objective__precompute_reference=True)
        assert before.reference == "precomputed"
        assert memory(full).allocated_bytes - memory(before).allocated_bytes >= weight_bytes(full)


def test_without_a_divergence_reinforcement_needs_no_reference(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware]
) -> None:
    shape = shapes["qwen2-0.5b"]
    assert setup(shape, box(), "grpo", full=True).reference == "none"
    assert setup(shape, box(), "grpo", full=True, objective__beta=0.01).reference == "copy"
    assert setup(shape, box(), "rloo").reference == "adapter off"


def test_a_reward_model_has_no_vocabulary_to_score(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware]
) -> None:
    shape = shapes["llama3-8b"]
    found = setup(shape, box(), "reward", full=True)
    assert found.geometry.parameters == shape.parameters - shape.embedding_parameters + shape.hidden
    logits = {moment.phase: moment.logits for moment in moments(found)}
    assert max(logits.values()) < 10 * found.tokens
    assert max(m.logits for m in moments(setup(shape, box(), "dpo", full=True))) > 1 << 30


def test_a_classifier_has_a_row_of_scores_for_each_label(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware], rows: Callable[..., DataProfile]
) -> None:
    shape, data = shapes["llama3-8b"], rows(kind="class", labels={f"label {n}": 10 for n in range(77)})
    asked = {"objective.kind": "classify", "train.micro_batch": 2, "train.effective_batch": 2}
    adapter = setup_of(assign(Recipe(), ASKED | asked), box(), shape, data)
    full = setup_of(assign(Recipe(), FULL | asked), box(), shape, data)
    assert full.geometry.parameters == shape.parameters - shape.embedding_parameters + 77 * shape.hidden
    words = setup(shape, box(), "sft")
    assert adapter.adapter_parameters == words.adapter_parameters + 77 * shape.hidden


@given(
    kind=st.sampled_from(GENERATING), rows_at_once=st.integers(1, 16), completion=st.integers(16, 4096),
    accumulation=st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_generation_holds_keys_and_values_of_every_token(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware], kind: str, rows_at_once: int, completion: int,
    accumulation: int,
) -> None:
    shape = shapes["llama3-8b"]
    found = setup(
        shape, box(), kind, rows=rows_at_once, objective__max_completion_length=completion,
        train__effective_batch=rows_at_once * accumulation,
    )
    assert found.generated_rows == rows_at_once * accumulation
    assert found.length == found.prompt + completion
    cache = 2 * 2 * shape.kv_heads * shape.head_dim * shape.layers * found.generated_rows * found.length
    moment = next(m for m in moments(found) if m.phase == "generation")
    assert cache <= moment.activations <= 1.5 * cache + (1 << 20)
    assert moment.gradients == 0
    longer = replace(found, completion=completion + 1)
    assert next(m for m in moments(longer) if m.phase == "generation").activations > moment.activations


@given(kind=st.sampled_from([kind for kind in OBJECTIVES if kind != "sft"]), full=st.booleans(), rows=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_more_rows_never_need_less_and_both_ways_agree(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware], kind: str, full: bool, rows: int
) -> None:
    found = setup(shapes["qwen2-0.5b"], box(), kind, rows=rows, full=full)
    more = setup(shapes["qwen2-0.5b"], box(), kind, rows=rows + 1, full=full)
    assert memory(found).allocated_bytes <= memory(more).allocated_bytes
    assert process_bytes(found) == (memory(found).process_bytes, memory(found).high_bytes)


@given(
    kind=st.sampled_from(("grpo", "rloo", "online_dpo", "ppo")), group=st.integers(2, 24),
    count=st.integers(20, 50_000), micro=st.none() | st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_what_is_planned_for_answers_of_its_own_can_be_trained(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware], rows: Callable[..., DataProfile], kind: str,
    group: int, count: int, micro: int | None,
) -> None:
    asked: dict[str, Any] = {"model.base": "some/model", "objective.kind": kind, "objective.rewards": ["exact"]}
    if kind in ("grpo", "rloo"):
        asked["objective.generations"] = group
    if micro is not None:
        asked["train.micro_batch"] = 2 * micro if kind == "online_dpo" else micro
    draft = assign(Recipe(), asked)
    data = rows(count, kind="prompt")
    found = plan(box(), shapes["qwen2-0.5b"], data, draft)
    recipe = resolve(draft, found)
    assert planned_only(recipe) is None
    assert recipe.adapter.kind == "none" or recipe.adapter.dropout == 0  # type: ignore[union-attr]


def test_a_step_trains_answers_and_not_rows(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware], rows: Callable[..., DataProfile]
) -> None:
    data = rows(1000, kind="prompt")

    def steps(**settings: Any) -> int:
        asked = {"train.micro_batch": 8, "train.effective_batch": 32, "train.epochs": 1, "data.validation": 0}
        draft = assign(Recipe(), asked | {name.replace("__", "."): value for name, value in settings.items()})
        return estimate(resolve(draft, plan(box(), shapes["qwen2-0.5b"], data, draft)), box(), shapes["qwen2-0.5b"],
                        data).time.steps  # fmt: skip

    assert steps(objective__kind="grpo", objective__generations=8) == 8 * 1000 // 32
    assert steps(objective__kind="grpo", objective__generations=8, objective__iterations=2) == 2 * 8 * 1000 // 32
    assert steps(objective__kind="online_dpo") == -(-2 * 1000 // 32)
    assert steps(objective__kind="ppo", objective__iterations=4) == 4 * 1000 // 32


@pytest.mark.parametrize("kind", ["grpo", "rloo", "online_dpo", "ppo", "distill"])
def test_what_the_model_answers_itself_is_neither_timed_nor_kept_by_the_answers_of_the_data(
    kind: str, shapes: dict[str, ModelShape], box: Callable[..., Hardware], rows: Callable[..., DataProfile]
) -> None:
    whole, prompts = rows(1000, longest=3000), rows(1000, longest=200)
    shape, machine = shapes["qwen2-0.5b"], box()

    def found(data: DataProfile, **more: Any) -> tuple[float, float, float]:
        recipe = assign(Recipe(), {
            "model.base": "some/model", "objective.kind": kind, "objective.max_completion_length": 64,
            "train.micro_batch": 8, "train.effective_batch": 32, "data.max_length": 4096, "data.validation": 0,
        } | {name.replace("__", "."): value for name, value in more.items()})
        resolved = resolve(recipe, plan(machine, shape, data, recipe))
        asked = estimate(resolved, machine, shape, data)
        return asked.time.step_seconds, asked.time.tokens_per_second, asked.memory.process_bytes

    both = whole.model_copy(update={"prompts": prompts.lengths})
    assert found(both) == found(prompts.model_copy(update={"prompts": prompts.lengths}))
    assert found(both)[0] < 0.8 * found(whole)[0], "of rows of which the prompt alone is read"
    assert found(both, objective__max_completion_length=512)[0] > 2 * found(both)[0], "an answer is written and trained"
    if kind == "distill":
        answered = {"objective__on_policy": 0}
        assert found(both, **answered) == found(whole, **answered), "the data's answers are read"


def test_a_tile_of_logits_is_as_wide_as_ever_beside_a_small_vocabulary(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware]
) -> None:
    small = setup(shapes["tiny"], box(), "dpo", data__max_length=256)
    assert small.geometry.vocab < small.stack.tile_vocabulary
    # As traced: one buffer, whatever part of it a tile takes.
    assert loss(small).forward >= small.tokens * small.stack.tile_vocabulary * small.compute_bytes


def test_the_value_head_and_the_pairs_of_online_dpo_are_counted(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware]
) -> None:
    shape = shapes["qwen2-0.5b"]
    policy, critic = setup(shape, box(), "rloo", full=True), setup(shape, box(), "ppo", full=True)
    assert all(ours > theirs for ours, theirs in zip(loss(critic), loss(policy), strict=True))
    assert memory(critic).allocated_bytes >= memory(policy).allocated_bytes
    assert formula_doubt(critic) == formula_doubt(policy), "both are met by a trace"
    paired = setup(shape, box(), "online_dpo", full=True, train__effective_batch=8)
    assert (paired.reference, paired.tokens, paired.generated_rows) == ("copy", 2 * paired.length, 8)
    once = setup(shape, box(), "rloo", train__effective_batch=8)
    again = setup(shape, box(), "rloo", train__effective_batch=8, objective__iterations=4)
    assert (once.served_steps, again.served_steps) == (1, 4)
    written = [parts(found, Batch(tokens=4096.0, pairs=4e6, scored=2048.0))["generation"] for found in (once, again)]
    assert written[1] == pytest.approx([each / 4 for each in written[0]])
    rolled = setup(shape, box(), "ppo", train__effective_batch=8, objective__mini_batches=3)
    assert (rolled.generated_rows, rolled.served_steps) == (24, 12)


def test_a_larger_teacher_takes_more_and_the_guess_about_it_is_said(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware]
) -> None:
    shape = shapes["qwen2-0.5b"]
    same = setup(shape, box(), "distill")
    large = setup(shape, box(), "distill", objective__teacher_parameters=8.0)
    assert memory(same).parts.reference == 2 * shape.parameters
    assert memory(large).parts.reference == 16_000_000_000
    assert any("teacher" in note for note in memory(large).notes)
    assert formula_doubt(large) > formula_doubt(setup(shape, box(), "sft"))


def test_a_reward_model_beside_the_policy_is_counted(
    shapes: dict[str, ModelShape], box: Callable[..., Hardware]
) -> None:
    found = setup(shapes["qwen2-0.5b"], box(), "grpo", objective__reward_parameters=0.5)
    assert memory(found).parts.reference == 1_000_000_000
