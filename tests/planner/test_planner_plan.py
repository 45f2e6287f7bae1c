"""The plan as a whole: what it recommends, what it keeps, and that it never raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner import Calibration, estimate, plan, resolve, risks
from ftui.planner.calibration import Learned
from ftui.planner.draft import AUTO
from ftui.recipe import Recipe, assign

GIB = 1 << 30


def autos(recipe: Recipe) -> list[str]:
    """The planned settings of `recipe` that are still "auto"."""
    found = []
    for path in AUTO:
        section, _, name = path.partition(".")
        if getattr(getattr(recipe, section), name, None) == "auto":
            found.append(path)
    return found


def options(found: Any) -> list[Any]:
    return [found.recommendation, *found.alternatives, *found.rejected]


def test_a_resolved_recipe_has_no_auto_and_keeps_what_the_user_set(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    draft = assign(Recipe(), {"adapter.rank": 48, "train.learning_rate": 7e-5, "train.epochs": 1.0, "train.seed": 3})
    found = plan(boxes["a100"], shapes["llama3-8b"], rows(), draft)
    resolved = resolve(draft, found)
    assert autos(resolved) == []
    assert resolved.adapter.rank == 48  # type: ignore[union-attr]
    assert resolved.train.learning_rate == 7e-5
    assert resolved.train.epochs == 1.0
    assert resolved.train.seed == 3
    assert not {"adapter.rank", "train.learning_rate", "train.epochs"} & set(found.recommendation.settings)


def test_every_filled_value_has_a_reason_and_a_source(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    found = plan(boxes["3090"], shapes["llama3-8b"], rows(), Recipe())
    assert {choice.path for choice in found.choices} == set(found.recommendation.settings)
    assert all(choice.reason and choice.source for choice in found.choices)
    rank = next(choice for choice in found.choices if choice.path == "adapter.rank")
    assert "9,400 rows" in rank.reason
    assert "GiB" in rank.reason or "MiB" in rank.reason


def test_what_the_rules_would_say_about_the_users_own_values_stands_apart(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    draft = assign(Recipe(), {"adapter.kind": "lora", "adapter.rank": 256})
    found = plan(boxes["a100"], shapes["llama3-8b"], rows(), draft)
    assert {choice.path: choice.value for choice in found.advice}["adapter.rank"] == 16


def test_the_estimate_of_the_resolved_recipe_is_that_of_the_recommendation(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    for box in boxes.values():
        found = plan(box, shapes["qwen2-0.5b"], rows(), Recipe())
        answer = estimate(resolve(Recipe(), found), box, shapes["qwen2-0.5b"], rows())
        assert answer.memory == found.recommendation.memory
        assert answer.time.total_seconds == pytest.approx(found.recommendation.time.total_seconds)
        assert answer.verdict.fit == found.recommendation.verdict.fit
        assert answer.trainable_parameters == found.recommendation.trainable_parameters


def test_an_8b_model_gets_the_method_that_its_card_can_hold(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    def pick(box: str) -> str:
        return plan(boxes[box], shapes["llama3-8b"], rows(), Recipe()).recommendation.method

    assert pick("t4") == "qlora"
    assert pick("3090") == "lora"
    assert pick("h200") == "lora"


def test_full_tuning_of_70b_is_rejected_with_what_is_missing(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    found = plan(boxes["a100"], shapes["llama3-70b"], rows(), Recipe())
    assert found.recommendation.method == "qlora"
    assert found.recommendation.verdict.fit != "no"
    full = next(option for option in found.rejected if option.method == "full")
    assert "Does not fit by" in full.verdict.text
    assert full.verdict.spare_bytes < 0
    missing = [option.verdict.spare_bytes for option in found.rejected]
    assert missing == sorted(missing, reverse=True)


def test_a_method_is_not_faster_for_reading_less(boxes: dict[str, Hardware], shapes: dict[str, ModelShape]) -> None:
    # Without data, 8 bits leave room for half the length only, and so for half the time.
    found = plan(boxes["a100"], shapes["llama3-70b"], None, Recipe())
    eight = next(option for option in found.alternatives if option.method == "lora-int8")
    assert eight.time.total_seconds < found.recommendation.time.total_seconds
    assert eight.time.tokens_per_second < found.recommendation.time.tokens_per_second
    assert found.recommendation.method == "qlora"


def test_a_model_that_fits_nowhere_is_said_to_fit_nowhere(
    box: Callable[..., Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    found = plan(box("Tesla T4", 15.0, capability=(7, 5), bf16=False), shapes["llama3-70b"], rows(), Recipe())
    assert found.recommendation.verdict.fit == "no"
    assert found.alternatives == ()
    assert any("Nothing fits" in note for note in found.notes)
    assert autos(resolve(Recipe(), found)) == []


def test_memory_that_others_hold_is_not_planned_with(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    found = plan(boxes["half"], shapes["llama3-8b"], rows(), Recipe())
    assert found.budget_bytes == 30 * GIB
    assert found.recommendation.memory.high_bytes <= 30 * GIB - found.reserve_bytes
    assert any("held by others" in risk.text for risk in found.risks)


@pytest.mark.parametrize(("fixed", "methods"), [
    ({"model.quantization": "nf4"}, {"qlora"}),
    ({"model.quantization": "int8"}, {"lora-int8"}),
    ({"model.quantization": "none"}, {"full", "lora"}),
    ({"adapter.kind": "none"}, {"full"}),
    ({"adapter.kind": "lora"}, {"lora", "qlora", "lora-int8"}),
    ({"adapter.kind": "lora", "adapter.dora": True}, {"lora", "qlora"}),
    ({}, {"full", "lora", "qlora", "lora-int8"}),
])
def test_only_what_the_draft_leaves_open_is_varied(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile],
    fixed: dict[str, Any], methods: set[str],
) -> None:
    draft = assign(Recipe(), fixed)
    found = plan(boxes["a100"], shapes["qwen2-0.5b"], rows(), draft)
    assert {option.method for option in options(found)} == methods
    resolved = resolve(draft, found)
    for path, value in fixed.items():
        section, _, name = path.partition(".")
        assert getattr(getattr(resolved, section), name) == value


def test_the_micro_batch_always_divides_the_effective_batch(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    for fixed in ({"train.effective_batch": 10}, {"train.micro_batch": 6}, {"compute.gpus": 4}, {}):
        draft = assign(Recipe(), fixed)
        resolved = resolve(draft, plan(boxes["h200"], shapes["llama3-8b"], rows(), draft))
        devices = fixed.get("compute.gpus", 1)
        assert resolved.train.effective_batch % (resolved.train.micro_batch * devices) == 0  # type: ignore[operator]


def test_apple_and_old_cards_get_no_method_that_bitsandbytes_lacks(
    boxes: dict[str, Hardware], box: Callable[..., Hardware], shapes: dict[str, ModelShape]
) -> None:
    apple = plan(boxes["apple"], shapes["qwen2-0.5b"], None, Recipe())
    assert {option.method for option in options(apple)} == {"full", "lora"}
    pascal = box("Tesla P100-PCIE-16GB", 16.0, capability=(6, 0), bf16=False)
    assert "lora-int8" not in {option.method for option in options(plan(pascal, shapes["tiny"], None, Recipe()))}


def test_zero_gpus_asks_for_the_cpu_even_beside_a_card(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    draft = assign(Recipe(), {"compute.gpus": 0})
    found = plan(boxes["a100"], shapes["tiny"], rows(), draft)
    assert found.device.startswith("CPU")
    assert found.budget_bytes == boxes["a100"].ram.available_bytes
    assert resolve(draft, found).model.dtype == "float32"


def test_a_checkpoint_stored_in_4_bits_only_takes_an_adapter(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    stored = shapes["llama3-8b"].model_copy(update={"quantization": "nf4"})
    assert {option.method for option in options(plan(boxes["a100"], stored, None, Recipe()))} == {"qlora"}


def test_memory_first_takes_less_than_speed_first(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    def peak(priority: str) -> int:
        draft = assign(Recipe(), {"goal.priority": priority})
        return plan(boxes["a100"], shapes["llama3-8b"], rows(), draft).recommendation.memory.process_bytes

    assert peak("memory") < peak("speed")


def test_an_option_that_was_not_recommended_can_be_taken(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    found = plan(boxes["a100"], shapes["qwen2-0.5b"], rows(), Recipe())
    full = next(option for option in found.alternatives if option.method == "full")
    resolved = resolve(Recipe(), found, full)
    assert resolved.adapter.kind == "none"
    assert autos(resolved) == []
    assert estimate(resolved, boxes["a100"], shapes["qwen2-0.5b"], rows()).memory == full.memory


def test_a_draft_edited_after_the_plan_still_resolves_by_its_own_method(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    found = plan(boxes["a100"], shapes["qwen2-0.5b"], rows(), Recipe())
    assert resolve(assign(Recipe(), {"model.quantization": "nf4"}), found).adapter.kind == "lora"
    full = resolve(assign(Recipe(), {"adapter.kind": "none"}), found)
    assert full.adapter.kind == "none"
    assert full.model.quantization == "none"


def test_a_plan_for_another_draft_says_so_rather_than_leave_an_auto(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    found = plan(boxes["a100"], shapes["tiny"], None, assign(Recipe(), {"adapter.kind": "none"}))
    with pytest.raises(ValueError, match="plan again"):
        resolve(assign(Recipe(), {"adapter.kind": "lora"}), found)


def test_an_unresolved_recipe_is_not_estimated(boxes: dict[str, Hardware], shapes: dict[str, ModelShape]) -> None:
    with pytest.raises(ValueError, match="resolve the recipe"):
        estimate(Recipe(), boxes["a100"], shapes["tiny"], None)


def test_a_finished_runs_speed_narrows_the_time(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    box = boxes["a100"]
    guessed = plan(box, shapes["qwen2-0.5b"], rows(), Recipe()).recommendation.time
    learned = Learned(device=box.device_name, step=2.0, step_spread=1.1, runs=4)
    calibration = Calibration(learned={box.device_name: learned})
    known = plan(box, shapes["qwen2-0.5b"], rows(), Recipe(), calibration).recommendation.time
    assert known.step_seconds == pytest.approx(2 * guessed.step_seconds)
    assert known.high_seconds / known.low_seconds < guessed.high_seconds / guessed.low_seconds
    assert "4 finished runs" in known.source


OPTIMIZERS = ["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "lion_8bit", "sgd"]


@st.composite
def drafts(draw: st.DrawFn) -> Recipe:
    """Recipes with some settings fixed, each valid by itself."""
    full = draw(st.booleans())
    pool: dict[str, st.SearchStrategy[Any]] = {
        "goal.task": st.sampled_from(["chat", "instruct", "classify", "domain", "code", "reasoning"]),
        "goal.priority": st.sampled_from(["quality", "balanced", "speed", "memory"]),
        "data.max_length": st.integers(8, 65536), "data.packing": st.booleans(),
        "data.validation": st.sampled_from([0, 0.05, 0.5, 20]),
        "train.micro_batch": st.integers(1, 64), "train.checkpointing": st.booleans(),
        "train.optimizer": st.sampled_from(OPTIMIZERS),
        "train.epochs": st.floats(0.1, 50), "train.max_steps": st.integers(1, 1000),
        "model.attention": st.sampled_from(["eager", "sdpa"]), "compute.gpus": st.sampled_from([0, 1]),
        **({"adapter.kind": st.just("none")} if full else {
            "adapter.rank": st.integers(1, 1024), "adapter.dropout": st.sampled_from([0.0, 0.1]),
            "adapter.targets": st.sampled_from(["all-linear", ("q_proj", "v_proj")]),
            "model.quantization": st.sampled_from(["none", "nf4", "fp4", "int8"]),
        }),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(pool)), max_size=6))
    return assign(Recipe(), {path: draw(pool[path]) for path in sorted(chosen)})


BOXES = st.sampled_from(["none", "t4", "3090", "a100", "half", "h200", "apple"])
PROFILES = st.one_of(st.none(), st.builds(
    dict, rows=st.integers(1, 2_000_000), kind=st.sampled_from(["conversation", "text"]),
    longest=st.integers(2048, 40_000),
))


@given(BOXES, st.sampled_from(["llama3-8b", "llama3.2-3b", "qwen2-0.5b", "tiny", "mixture", "llama3-70b"]), drafts(),
       PROFILES)
@settings(max_examples=250, deadline=None)
def test_any_draft_on_any_machine_is_planned_soundly(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile],
    box: str, model: str, draft: Recipe, given_rows: dict[str, Any] | None,
) -> None:
    profile = rows(**given_rows) if given_rows else None
    found = plan(boxes[box], shapes[model], profile, draft)
    every = options(found)
    if any(option.verdict.fit != "no" for option in every):
        assert found.recommendation.verdict.fit != "no"
    assert all(option.verdict.fit != "no" for option in found.alternatives)
    assert all(option.verdict.fit == "no" for option in found.rejected)
    assert [choice.path for choice in found.choices if choice.value == "auto"] == []
    resolved = resolve(draft, found)
    assert autos(resolved) == []
    answer = estimate(resolved, boxes[box], shapes[model], profile)
    assert answer.memory.process_bytes > 0
    assert 0 < answer.time.low_seconds <= answer.time.total_seconds <= answer.time.high_seconds
    assert answer.disk_bytes > answer.adapter_bytes >= 0
    assert answer.verdict.fit == found.recommendation.verdict.fit
    risks(resolved, boxes[box], shapes[model], profile)


@given(
    st.integers(1, 64), st.integers(1, 100), st.sampled_from([1, 2, 4, 8]), st.integers(1, 16),
    st.sampled_from([8, 64, 128]),
    st.integers(10, 300_000), st.booleans(), st.booleans(), st.integers(16, 1_000_000), BOXES,
)
@settings(max_examples=200, deadline=None)
def test_any_shape_in_sane_ranges_is_planned_and_never_raises(
    boxes: dict[str, Hardware], shape_of: Callable[..., ModelShape], width: int, layers: int, groups: int,
    kv_heads: int, head_dim: int, vocab: int, tied: bool, gated: bool, context: int, box: str,
) -> None:
    hidden = width * 64
    shape = shape_of(hidden, 3 * hidden, layers, groups * kv_heads, kv_heads, head_dim, vocab, tied, context,
                     gated_mlp=gated)
    assume(shape.parameters < 2e12)
    found = plan(boxes[box], shape, None, Recipe())
    assert autos(resolve(Recipe(), found)) == []
    assert all(option.memory.process_bytes > 0 for option in options(found))
