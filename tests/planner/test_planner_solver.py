"""The solver: its answer fits, one more doesn't, and it says what stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.models.known import catalogue
from ftui.planner import estimate, plan, resolve
from ftui.planner.solver import PATHS, _bisect, largest
from ftui.recipe import Recipe, assign

GIB = 1 << 30


def resolved(box: Hardware, shape: ModelShape, profile: DataProfile | None, fixed: dict[str, Any]) -> Recipe:
    draft = assign(Recipe(), fixed)
    return resolve(draft, plan(box, shape, profile, draft))


def with_value(recipe: Recipe, what: str, value: int) -> Recipe:
    changes: dict[str, Any] = {PATHS[what]: value}  # type: ignore[index]
    if what == "micro_batch":
        accumulation = -(-int(recipe.train.effective_batch) // value)
        changes["train.effective_batch"] = value * accumulation
    return assign(recipe, changes)


@pytest.mark.parametrize("what", ["micro_batch", "max_length", "rank"])
@pytest.mark.parametrize("fixed", [
    {"adapter.kind": "lora", "model.quantization": "none"}, {"adapter.kind": "lora", "model.quantization": "nf4"},
    {"adapter.kind": "lora", "train.checkpointing": True, "model.quantization": "none"},
])
def test_the_answer_fits_and_one_more_does_not(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], what: str, fixed: dict[str, Any]
) -> None:
    # Without a profile rows fill the sequence, so that the estimate and the solver speak of the same length.
    box, shape = boxes["3090"], shapes["llama3-8b"]
    recipe = resolved(box, shape, None, {**fixed, "data.max_length": 1024})
    found = largest(recipe, box, shape, None, what)  # type: ignore[arg-type]
    assert isinstance(found.value, int)
    assert found.high_bytes <= found.room_bytes
    assert estimate(with_value(recipe, what, found.value), box, shape, None).verdict.fit == "fits"
    if found.next_value is None:
        assert found.missing_bytes == 0
        return
    assert found.next_value == found.value + 1
    assert found.missing_bytes > 0
    assert estimate(with_value(recipe, what, found.value + 1), box, shape, None).verdict.fit != "fits"


@settings(max_examples=25, deadline=None)
@given(
    total=st.floats(8, 140), length=st.integers(64, 4096), what=st.sampled_from(["micro_batch", "max_length", "rank"])
)
def test_whatever_the_card_the_answer_is_the_edge_of_what_fits(
    box: Callable[..., Hardware], shapes: dict[str, ModelShape], total: float, length: int, what: str
) -> None:
    machine, shape = box(total=round(total, 1)), shapes["qwen2-0.5b"]
    recipe = resolved(machine, shape, None, {"adapter.kind": "lora", "data.max_length": length})
    found = largest(recipe, machine, shape, None, what)  # type: ignore[arg-type]
    assert isinstance(found.value, int)
    assert found.high_bytes <= found.room_bytes
    assert (found.next_value is None) == (found.missing_bytes == 0)
    assert found.next_value in (None, found.value + 1)


def test_more_memory_never_means_less(box: Callable[..., Hardware], shapes: dict[str, ModelShape]) -> None:
    shape = shapes["llama3-8b"]
    recipe = resolved(box(total=80.0), shape, None, {"adapter.kind": "lora", "model.quantization": "nf4"})
    for what in ("micro_batch", "max_length"):
        values = [largest(recipe, box(total=total), shape, None, what).value for total in (16.0, 24.0, 40.0, 80.0)]
        sizes = [value for value in values if isinstance(value, int)]
        assert len(sizes) >= 3
        assert sizes == sorted(sizes)


def test_the_part_that_grows_is_named(boxes: dict[str, Hardware], shapes: dict[str, ModelShape]) -> None:
    box, shape = boxes["3090"], shapes["llama3-8b"]
    recipe = resolved(box, shape, None, {"adapter.kind": "lora", "model.quantization": "none", "data.max_length": 1024})
    assert "activations" in largest(recipe, box, shape, None, "micro_batch").limit
    assert any(word in largest(recipe, box, shape, None, "rank").limit for word in ("adapter", "optimizer", "grad"))


def test_where_nothing_fits_it_says_so_and_why(boxes: dict[str, Hardware], shapes: dict[str, ModelShape]) -> None:
    box, shape = boxes["t4"], shapes["llama3-70b"]
    recipe = resolved(box, shape, None, {})
    for what in ("micro_batch", "max_length", "rank"):
        found = largest(recipe, box, shape, None, what)  # type: ignore[arg-type]
        if found.value is None:
            assert found.missing_bytes > 0
            assert "weights" in found.limit
    assert largest(recipe, box, shape, None, "micro_batch").value is None


def test_the_sequence_ends_at_the_models_context(boxes: dict[str, Hardware], shapes: dict[str, ModelShape]) -> None:
    recipe = resolved(boxes["h200"], shapes["qwen2-0.5b"], None, {"adapter.kind": "lora", "train.micro_batch": 1})
    found = largest(recipe, boxes["h200"], shapes["qwen2-0.5b"], None, "max_length")
    assert found.value == shapes["qwen2-0.5b"].context_length
    assert "context" in found.limit


def test_full_tuning_has_no_rank_to_raise(boxes: dict[str, Hardware], shapes: dict[str, ModelShape]) -> None:
    recipe = resolved(boxes["a100"], shapes["qwen2-0.5b"], None, {"adapter.kind": "none"})
    found = largest(recipe, boxes["a100"], shapes["qwen2-0.5b"], None, "rank")
    assert found.value is None
    assert "no rank" in found.text


def test_the_largest_model_of_the_catalogue_fits_and_every_larger_one_does_not(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    known = {entry.shape.ref: entry.shape for entry in catalogue()}
    sizes = []
    for name in ("t4", "3090", "a100"):
        recipe = resolved(boxes[name], shapes["qwen2-0.5b"], None, {"model.quantization": "nf4"})
        found = largest(recipe, boxes[name], shapes["qwen2-0.5b"], None, "model")
        assert isinstance(found.value, str)
        shape = known[found.value]
        assert estimate(assign(recipe, {"model.base": found.value}), boxes[name], shape, None).verdict.fit == "fits"
        for other in known.values():
            if other.parameters > shape.parameters and other.context_length >= recipe.data.max_length:
                held = estimate(assign(recipe, {"model.base": other.ref}), boxes[name], other, None)
                assert held.verdict.fit != "fits"
        sizes.append(shape.parameters)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@given(edge=st.integers(0, 5000), least=st.integers(1, 10), most=st.integers(10, 4096))
def test_bisection_finds_the_edge(edge: int, least: int, most: int) -> None:
    found = _bisect(lambda value: value <= edge, least, most)
    assert found == (None if edge < least else min(edge, most))
