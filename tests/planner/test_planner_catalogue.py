"""Every model that ships with ftui, on every machine: sums that must come out right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.known import catalogue
from ftui.planner import plan
from ftui.planner.geometry import geometry
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of
from ftui.recipe import Recipe, assign

ENTRIES = {entry.id: entry.shape for entry in catalogue()}


@pytest.mark.parametrize("name", ENTRIES)
def test_each_models_parts_sum_to_its_parameters(name: str) -> None:
    shape = ENTRIES[name]
    sizes = geometry(shape)
    counted = sizes.linear_weights + sizes.packed_weights + shape.embedding_parameters * (1 if sizes.tied else 2)
    assert 0.93 * shape.parameters < counted <= shape.parameters
    assert sizes.targets
    assert {target.place for target in sizes.targets} >= {"attention in", "attention out", "mlp in", "mlp out"}


@pytest.mark.parametrize("name", ENTRIES)
def test_each_model_is_planned_on_each_machine_with_sane_numbers(
    boxes: dict[str, Hardware], rows: Callable[..., DataProfile], name: str
) -> None:
    shape = ENTRIES[name]
    for box in boxes.values():
        found = plan(box, shape, rows(), Recipe())
        for option in (found.recommendation, *found.alternatives, *found.rejected):
            base = {"qlora": 0.5, "lora-int8": 1.0}.get(option.method, 2.0)
            assert option.memory.parts.weights >= 0.95 * base * shape.parameters
            assert option.memory.process_bytes > option.memory.parts.weights
            assert 0 < option.quality <= 1
            assert option.time.tokens_per_second > 0
            if option.method != "full":
                assert option.trainable_parameters < 0.2 * shape.parameters


@pytest.mark.parametrize("name", ENTRIES)
def test_quantizing_the_base_never_takes_more_and_full_tuning_never_less(
    boxes: dict[str, Hardware], name: str
) -> None:
    shape, box = ENTRIES[name], boxes["h200"]
    fixed = {"train.micro_batch": 1, "train.effective_batch": 8, "train.learning_rate": 1e-4, "data.max_length": 1024,
             "data.packing": False, "train.checkpointing": True, "train.optimizer": "adamw", "model.dtype": "bfloat16",
             "model.attention": "sdpa", "train.eval_steps": 10, "train.save_steps": 10, "compute.gpus": 1}
    adapter = {"adapter.kind": "lora", "adapter.rank": 8, "adapter.alpha": 16, "adapter.dropout": 0.0}

    def peak(**more: object) -> int:
        recipe = assign(Recipe(), {**fixed, **{path.replace("__", "."): value for path, value in more.items()}})
        return memory(setup_of(recipe, box, shape, None)).allocated_bytes

    lora = peak(**adapter, model__quantization="none")
    four, eight = (peak(**adapter, model__quantization=kind) for kind in ("nf4", "int8"))
    full = peak(adapter__kind="none", model__quantization="none")
    assert four < lora < full
    assert four < eight < full
