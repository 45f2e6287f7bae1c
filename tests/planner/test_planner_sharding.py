"""Several devices: what each holds, against FSDP2 traced over a fake process group, and by what must always hold."""

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

from ftui.hardware.document import Gpu, Hardware
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import estimate, plan, resolve, risks
from ftui.planner.geometry import chosen, geometry
from ftui.planner.memory import memory, moments, process_bytes
from ftui.planner.objectives import BESIDE, GENERATED
from ftui.planner.setup import Setup, number_formats, setup_of
from ftui.planner.sharding import communication_bytes, held, weakest
from ftui.planner.states import gradient_bytes, optimizer_bytes, weight_bytes
from ftui.recipe import assign
from ftui.recipe.document import Recipe

GIB = 1 << 30
TRACED = json.loads((Path(__file__).parent / "traced_sharding.json").read_text("utf-8"))["cases"]
STRATEGIES = ("ddp", "zero1", "zero2", "zero3", "fsdp")


def setup(
    shape: ModelShape, method: str = "full", strategy: str = "fsdp", devices: int = 4, rows: int = 1,
    length: int = 1024, **more: object,
) -> Setup:
    """A setup on CUDA in bfloat16, shared by `devices`."""
    sizes, full = geometry(shape), method == "full"
    fields: dict[str, object] = {
        "geometry": sizes, "method": method, "device": "cuda", "rows": rows, "length": length, "padded": False,
        "loss": "tiled", "checkpointing": True, "attention": "sdpa", "optimizer": "adamw",
        "rank": 0 if full else 16, "targets": () if full else chosen(sizes, "all-linear"),
        "quantization": {"qlora": "nf4", "lora-int8": "int8"}.get(method, "none"), "compute_capability": (8, 0),
        "strategy": strategy, "devices": devices, **number_formats(method, "cuda", "bfloat16"),  # type: ignore[arg-type]
    }
    return Setup(**{**fields, **more})  # type: ignore[arg-type]


@pytest.fixture
def cards(box: Callable[..., Hardware]) -> Callable[[int], Hardware]:
    """Machines with so many cards, of which the last has half as much free memory."""

    def make(count: int) -> Hardware:
        one = box()
        gpus = tuple(
            one.gpus[0].model_copy(update={"index": at, "free_bytes": (80 if at < count - 1 else 40) * GIB})
            for at in range(count)
        )
        return one.model_copy(update={"gpus": gpus})

    return make


def test_the_formula_meets_fsdp2_traced_on_2_to_8_devices(box: Callable[..., Hardware]) -> None:
    errors = {}
    for row in TRACED:
        shape = build(row["config"], Origin("traced", "config"))
        found = memory(setup_of(assign(Recipe(), row["asked"]), box(), shape, None))
        errors[row["name"]] = found.allocated_bytes / row["allocated"] - 1
    assert len(errors) >= 16
    assert statistics.median(map(abs, errors.values())) <= 0.005
    assert max(map(abs, errors.values())) <= 0.02, errors


@given(
    devices=st.integers(1, 64), method=st.sampled_from(["full", "lora", "qlora"]),
    optimizer=st.sampled_from(["adamw", "adamw_8bit", "sgd", "adafactor"]),
)
@settings(max_examples=60, deadline=None)
def test_the_shards_of_all_devices_are_the_whole(
    shapes: dict[str, ModelShape], devices: int, method: str, optimizer: str
) -> None:
    found = setup(shapes["qwen2-0.5b"], method, devices=devices, optimizer=optimizer)
    # Trained shards are float32 under mixed precision.
    whole = replace(found, weight_bytes=4) if found.full else replace(found, adapter_bytes=4)
    parts, shard = (weight_bytes(whole), whole.adapter_parameters * 4, optimizer_bytes(whole)), held(found)
    for all_of_it, part in zip(parts, (shard.weights, shard.adapter, shard.optimizer), strict=True):
        expected = 0 if found.full and part == shard.adapter else all_of_it
        assert expected <= part * devices < expected + devices or part == expected == 0


@given(
    devices=st.integers(2, 32), method=st.sampled_from(["full", "lora", "qlora"]),
    strategy=st.sampled_from(["zero1", "zero2", "zero3", "fsdp"]), checkpointing=st.booleans(),
    accumulation=st.integers(1, 4), offload=st.sampled_from(["none", "all"]),
)
@settings(max_examples=120, deadline=None)
def test_more_devices_never_need_more_on_each(
    shapes: dict[str, ModelShape], devices: int, method: str, strategy: str, checkpointing: bool, accumulation: int,
    offload: str,
) -> None:
    found = setup(
        shapes["mistral-7b"], method, strategy, devices, checkpointing=checkpointing, accumulation=accumulation,
        offload=offload,
    )
    assert memory(replace(found, devices=devices + 1)).allocated_bytes <= memory(found).allocated_bytes


@given(
    devices=st.integers(2, 64), method=st.sampled_from(["full", "lora"]),
    optimizer=st.sampled_from(["adamw", "adamw_8bit", "lion_8bit", "sgd"]),
)
@settings(max_examples=60, deadline=None)
def test_each_stage_of_zero_holds_no_more_than_the_one_before(
    shapes: dict[str, ModelShape], devices: int, method: str, optimizer: str
) -> None:
    def stays(strategy: str) -> float:
        found = setup(shapes["llama3-8b"], method, strategy, devices, optimizer=optimizer, accumulation=2)
        step = next(moment for moment in moments(found) if moment.phase == "optimizer step")
        return held(found).total + step.gradients

    ddp, *stages = [stays(strategy) for strategy in ("ddp", "zero1", "zero2", "zero3")]
    assert ddp >= stages[0] * 0.999
    assert stages == sorted(stages, reverse=True)


def test_zero_holds_sixteen_bytes_per_parameter_and_divides_as_its_paper_says(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["llama3-8b"]
    each = shape.parameters
    for strategy, bytes_per_parameter in (("zero1", 2 + 12 / 8), ("zero2", 2 + 12 / 8), ("zero3", 16 / 8 - 2 / 8)):
        found = held(setup(shape, strategy=strategy, devices=8))
        assert found.total == pytest.approx(bytes_per_parameter * each, rel=1e-6)
    # ... and the gradients: whole in stage 1, one part from stage 2 on.
    for strategy, parts in (("zero1", 1), ("zero2", 8), ("zero3", 8)):
        found = setup(shape, strategy=strategy, devices=8, accumulation=2)
        step = next(moment for moment in moments(found) if moment.phase == "loss forward")
        assert step.gradients == pytest.approx(2 * each / parts, rel=1e-6)


def test_ddp_holds_its_gradients_twice(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["mistral-7b"]
    alone, shared = (
        setup(shape, strategy=strategy, devices=devices, accumulation=2)
        for strategy, devices in (("single", 1), ("ddp", 2))
    )
    assert memory(shared).allocated_bytes - memory(alone).allocated_bytes == gradient_bytes(alone)


def test_what_is_offloaded_is_not_on_the_device(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["llama3-8b"]
    assert held(setup(shape, strategy="fsdp", offload="all")).total == 0
    assert held(setup(shape, strategy="zero2", offload="optimizer")).optimizer == 0
    assert held(setup(shape, strategy="zero3", offload="all")).weights == 0
    kept = memory(setup(shape, strategy="zero3"))
    assert memory(setup(shape, strategy="zero3", offload="all")).allocated_bytes < kept.allocated_bytes


def test_weights_in_eight_bits_stay_whole_and_a_note_says_so(shapes: dict[str, ModelShape]) -> None:
    found = setup(shapes["llama3-8b"], "lora-int8", strategy="fsdp", devices=8)
    assert held(found).weights == weight_bytes(found)
    assert any("8-bit weights" in note for note in memory(found).notes)


def test_accumulating_under_fsdp_keeps_whole_gradients(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["mistral-7b"]
    once, twice = (setup(shape, devices=8, accumulation=count) for count in (1, 2))
    assert memory(twice).allocated_bytes - memory(once).allocated_bytes > 1.5 * shape.parameters
    assert any("no_sync" in note for note in memory(twice).notes)


@pytest.mark.parametrize("more", [
    {"objective": "dpo", "reference": "copy", "prompt": 256, "loss": "tiled"},
    {"objective": "grpo", "generated_rows": 8, "prompt": 256, "completion": 512},
], ids=["dpo", "grpo"])
def test_fsdp_has_the_moments_that_an_objective_adds(shapes: dict[str, ModelShape], more: dict[str, Any]) -> None:
    """They gather as every forward pass does; whole gradients wait beside a reference, and not beside writing."""
    one, four = setup(shapes["llama-7b"], strategy="single", devices=1, **more), setup(shapes["llama-7b"], **more)
    accumulating = {moment.phase: moment for moment in moments(replace(four, accumulation=4))}
    alone, shared = ({moment.phase: moment for moment in moments(each)} for each in (one, four))
    added = [phase for phase in BESIDE if phase in alone]
    assert added
    for phase in added:
        assert shared[phase].activations == alone[phase].activations
        assert shared[phase].workspace > alone[phase].workspace
        assert (accumulating[phase].gradients > 0) == (phase not in GENERATED)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_short_way_is_the_long_way_and_the_interval_holds_the_peak(
    shapes: dict[str, ModelShape], strategy: str
) -> None:
    for method in ("full", "lora", "qlora"):
        found = setup(shapes["llama3-8b"], method, strategy, 4)
        whole = memory(found)
        assert process_bytes(found) == (whole.process_bytes, whole.high_bytes)
        assert whole.low_bytes <= whole.process_bytes <= whole.high_bytes
        assert sum(whole.parts.model_dump().values()) == whole.process_bytes


@given(devices=st.integers(2, 64), strategy=st.sampled_from(STRATEGIES), accumulation=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_what_is_sent_grows_towards_a_bound_with_the_devices(
    shapes: dict[str, ModelShape], devices: int, strategy: str, accumulation: int
) -> None:
    found = setup(shapes["mistral-7b"], strategy=strategy, devices=devices, accumulation=accumulation)
    sent = communication_bytes(found)
    assert 0 < sent <= communication_bytes(replace(found, devices=devices + 1))
    assert communication_bytes(replace(found, devices=1)) == 0
    assert sent <= 2 * 3 * shapes["mistral-7b"].parameters * accumulation


def test_a_recipe_for_several_cards_is_held_against_the_least_of_them(
    shapes: dict[str, ModelShape], rows: Callable[..., Any], cards: Callable[[int], Hardware]
) -> None:
    asked = assign(Recipe(), {"model.base": "some/model", "compute.gpus": 2, "compute.strategy": "fsdp"})
    machine, shape = cards(2), shapes["llama3-8b"]
    found = plan(machine, shape, rows(), asked)
    resolved = resolve(asked, found)
    assert resolved.compute.gpus == 2
    assert resolved.compute.strategy == "fsdp"
    whole = estimate(resolved, machine, shape, rows())
    assert found.budget_bytes == 40 * GIB
    alone = estimate(assign(resolved, {"compute.gpus": 1}), machine, shape, rows())
    assert whole.memory.parts.weights < 0.6 * alone.memory.parts.weights


def test_the_least_card_is_that_of_those_that_are_asked_for(cards: Callable[[int], Hardware]) -> None:
    machine = cards(3)
    assert weakest(machine, 1) is machine
    assert weakest(machine, 2).gpu.free_bytes == 80 * GIB  # type: ignore[union-attr]
    assert weakest(machine, 3).gpu.free_bytes == 40 * GIB  # type: ignore[union-attr]
    assert isinstance(weakest(machine, 3).gpus[0], Gpu)


def test_more_cards_than_there_are_is_a_risk(
    shapes: dict[str, ModelShape], cards: Callable[[int], Hardware]
) -> None:
    shape, asked = shapes["qwen2-0.5b"], assign(Recipe(), {"model.base": "some/model", "compute.gpus": 4})
    for there, expected in ((4, False), (2, True)):
        machine = cards(there)
        resolved = resolve(asked, plan(machine, shape, None, asked))
        said = [risk.text for risk in risks(resolved, machine, shape, None) if risk.path == "compute.gpus"]
        assert any("4 GPUs are asked for" in text for text in said) is expected


@pytest.mark.parametrize(("model", "method", "published", "more"), [
    ("llama2-70b", "full", 70.4, {}),
    ("llama2-70b", "lora", 26.4, {"targets": ("q_proj", "v_proj")}),
    ("llama3-70b", "lora", 27.6, {"targets": ("q_proj", "v_proj"), "loss": "chunked"}),
])
def test_torchtunes_published_peaks_on_eight_cards_are_met(
    shapes: dict[str, ModelShape], shape_of: Callable[..., ModelShape], model: str, method: str, published: float,
    more: dict[str, Any],
) -> None:
    """GiB per GPU of torchtune's README: 16-bit states without autocast, 2 rows of 2048 tokens, FSDP2."""
    shape = shapes["llama3-70b"] if model == "llama3-70b" else shape_of(
        8192, 28672, 80, 64, 8, 128, 32000, False, 4096
    )
    if "targets" in more:
        more = {**more, "targets": chosen(geometry(shape), more["targets"]), "rank": 8}
    found = setup(shape, method, devices=8, rows=2, length=2048, **{
        "autocast": False, "adapter_bytes": 2, "loss": "full", "attention": "flash_attention_2", **more,
    })
    assert memory(found).reserved_bytes / GIB == pytest.approx(published, rel=0.06)
