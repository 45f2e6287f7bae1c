"""What a training that goes on keeps of its start is in the plan, and a curriculum is never packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner import plan
from ftui.planner.memory import memory
from ftui.planner.setup import Setup, setup_of
from ftui.planner.states import trainable_parameters, trained_bytes
from ftui.recipe import assign
from ftui.recipe.document import Recipe

ASKED: dict[str, Any] = {
    "adapter.rank": 16, "adapter.alpha": 32, "adapter.dropout": 0.0, "model.quantization": "none",
    "model.dtype": "bfloat16", "model.attention": "sdpa", "data.max_length": 512, "data.packing": False,
    "train.optimizer": "adamw", "train.checkpointing": True, "train.micro_batch": 2, "train.effective_batch": 2,
}


@pytest.fixture
def shape(shapes: dict[str, ModelShape]) -> ModelShape:
    return next(iter(shapes.values()))


@pytest.fixture
def setup(shape: ModelShape, box: Callable[..., Hardware]) -> Callable[..., Setup]:
    return lambda **more: setup_of(
        assign(Recipe(), ASKED | {name.replace("__", "."): value for name, value in more.items()}), box(), shape, None
    )


def test_a_pull_holds_the_start_and_ewc_the_importance_as_well(setup: Callable[..., Setup]) -> None:
    plain, pulled = setup(), setup(continual__pull=0.1)
    weighed = setup(continual__ewc=1.0, continual__remember="old.jsonl")
    trained = trainable_parameters(plain)
    held = memory(plain).parts.reference
    assert memory(pulled).parts.reference - held == trained * trained_bytes(plain)
    assert memory(weighed).parts.reference - held == trained * (trained_bytes(plain) + 4)
    assert memory(weighed).allocated_bytes > memory(plain).allocated_bytes


def test_a_finished_adapter_as_reference_is_a_second_one(setup: Callable[..., Setup]) -> None:
    fresh = setup(objective__kind="dpo")
    going_on = setup(objective__kind="dpo", adapter__start_from="/runs/sft/output")
    second = fresh.adapter_parameters * fresh.adapter_bytes
    assert memory(going_on).parts.reference - memory(fresh).parts.reference == second
    alone = setup(adapter__start_from="/runs/sft/output")
    assert memory(alone).parts.reference == 0, "supervised tuning has no reference"


def test_rows_in_order_are_not_packed(shape: ModelShape, box: Callable[..., Hardware]) -> None:
    draft = assign(Recipe(), {"data.curriculum": "length", "objective.loss_on": "all"})
    choice = next(each for each in plan(box(), shape, None, draft).choices if each.path == "data.packing")
    assert choice.value is False
    assert "data.curriculum puts in order" in choice.reason
