"""Time: operations counted, steps counted, devices known or said to be unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner.cost import cost
from ftui.planner.devices import SHEETS, rate
from ftui.planner.disk import checkpoint_bytes, disk_bytes, result_bytes
from ftui.planner.geometry import chosen, geometry
from ftui.planner.setup import Setup, number_formats
from ftui.planner.time import Schedule, held_out, schedule, step_seconds, time
from ftui.planner.work import Batch, batch_of, evaluation_work, parts, step_work


def setup(shape: ModelShape, method: str = "lora", **more: object) -> Setup:
    sizes = geometry(shape)
    fields: dict[str, object] = {
        "geometry": sizes, "method": method, "device": "cuda", "rows": 4, "length": 1024, "padded": True,
        "checkpointing": False, "attention": "sdpa", "optimizer": "adamw", "loss": "full",
        "quantization": {"qlora": "nf4"}.get(method, "none"), "rank": 0 if method == "full" else 16,
        "targets": () if method == "full" else chosen(sizes, "all-linear"),
        **number_formats(method, "cuda", "bfloat16"),  # type: ignore[arg-type]
    }
    return Setup(**{**fields, **more})  # type: ignore[arg-type]


def steps(**more: object) -> Schedule:
    fields: dict[str, object] = {
        "max_length": 1024, "packing": False, "micro_batch": 4, "effective_batch": 16, "epochs": 2.0, "max_steps": None,
        "validation": 0.05, "eval_steps": 100,
    }
    return schedule(more.pop("profile", None), **{**fields, **more})  # type: ignore[arg-type]


def flops(found: Setup, length: float) -> float:
    """Operations per token of one row of `length` tokens, every one scored."""
    return step_work(found, Batch(1.0, length, 1.0)).products


def test_full_tuning_does_six_operations_per_token_and_weight_and_lora_four(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["llama-7b"]
    weights = geometry(shape).linear_weights + shape.vocab * shape.hidden
    assert flops(setup(shape, "full"), 0) == pytest.approx(6 * weights)
    lora = setup(shape)
    first = 2 * 3 * shape.hidden**2  # nothing before the first layer's projections needs a gradient
    assert flops(lora, 0) == pytest.approx(4 * weights + 6 * lora.adapter_parameters - first)


def test_checkpointing_computes_the_layers_once_more_but_for_their_last_product(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["llama-7b"]
    found = setup(shape, "full")
    more = flops(replace(found, checkpointing=True), 0) - flops(found, 0)
    assert more == pytest.approx(2 * (found.geometry.linear_weights - 32 * 11008 * 4096))


def test_attention_grows_with_the_square_of_the_length(shapes: dict[str, ModelShape]) -> None:
    found = setup(shapes["llama-7b"])
    short, long, longer = (flops(found, n) for n in (0, 4096, 8192))
    assert longer - short == pytest.approx(2 * (long - short))


def test_a_kernel_that_knows_of_causality_computes_half_of_the_pairs(shapes: dict[str, ModelShape]) -> None:
    masked = setup(shapes["llama-7b"])
    causal = replace(masked, padded=False)
    attention = [parts(found, batch_of(found))["attention"].products for found in (masked, causal)]
    assert attention[0] == 2 * attention[1]


def test_a_mixture_computes_only_the_experts_it_routes_to(shapes: dict[str, ModelShape]) -> None:
    found = setup(shapes["mixture"], "full")
    assert flops(found, 0) < 6 * shapes["mixture"].parameters / 2


def test_only_trained_tokens_pass_through_the_head_unless_all_logits_are_made(shapes: dict[str, ModelShape]) -> None:
    some = Batch(1000.0, 1e6, 100.0)
    chunked, full = (setup(shapes["llama3-8b"], loss=loss) for loss in ("chunked", "full"))
    ratio = parts(full, some)["head and loss"].products / parts(chunked, some)["head and loss"].products
    assert ratio == pytest.approx(10)


def test_an_evaluation_is_a_forward_pass(shapes: dict[str, ModelShape]) -> None:
    found = setup(shapes["llama-7b"], "full")
    assert 2.9 < step_work(found, batch_of(found)).products / evaluation_work(found, batch_of(found)).products < 3.2


@given(
    method=st.sampled_from(["full", "lora", "qlora"]), rows=st.integers(1, 16), length=st.integers(16, 8192),
    checkpointing=st.booleans(), more=st.integers(1, 512), loss=st.sampled_from(["chunked", "full", "tiled", "liger"]),
)
@settings(max_examples=60, deadline=None)
def test_more_tokens_and_more_rows_never_take_less_time(
    shapes: dict[str, ModelShape], boxes: dict[str, Hardware],
    method: str, rows: int, length: int, checkpointing: bool, more: int, loss: str,
) -> None:
    shape, speed = shapes["llama3.2-3b"], rate(boxes["a100"], cpu=False)
    found = setup(shape, method, rows=rows, length=length, checkpointing=checkpointing, loss=loss)

    def seconds(rows: int, length: int) -> float:
        plan = steps(max_length=length, micro_batch=rows, effective_batch=rows)
        return step_seconds(replace(found, rows=rows, length=length), speed, plan)

    assert seconds(rows, length) < seconds(rows, length + more)
    assert seconds(rows, length) < seconds(rows + 1, length)
    assert all(each >= 0 for part in parts(found, batch_of(found)).values() for each in part)


@given(hours=st.floats(0.01, 1000), price=st.floats(0, 100), watts=st.floats(50, 1000), devices=st.integers(1, 8))
def test_costs_are_in_order_and_grow_with_time_price_and_devices(
    hours: float, price: float, watts: float, devices: int
) -> None:
    found = cost((hours * 3600, hours * 3000, hours * 5000), watts=watts, devices=devices, price=price)
    assert found["cost_low"] <= found["cost"] <= found["cost_high"]
    assert found["energy_low_wh"] <= found["energy_wh"] <= found["energy_high_wh"]
    assert found["cost"] == pytest.approx(hours * price)
    assert found["energy_wh"] <= hours * watts * devices
    assert not {"cost", "energy_wh"} & set(cost((1.0, 1.0, 1.0), watts=None))


def test_steps_are_counted_from_rows_epochs_and_what_is_held_out(rows: Callable[..., DataProfile]) -> None:
    plan = steps(profile=rows(1000))
    assert (plan.held_out, plan.rows, plan.steps) == (50, 950, 120)
    assert plan.evaluations == 2
    assert steps(profile=rows(1000), max_steps=7).steps == 7
    assert steps(profile=rows(1000), validation=0).evaluations == 0


@pytest.mark.parametrize(("total", "validation", "held"), [
    (100, 0.05, 5), (3, 0.05, 1), (1, 0.05, 0), (100, 20, 20), (10, 200, 9), (100, 0, 0), (100, "held.jsonl", 0),
])
def test_a_share_a_number_or_a_file_is_held_out(total: int, validation: float | str, held: int) -> None:
    assert held_out(total, validation) == held


def test_packing_makes_fewer_and_fuller_sequences(rows: Callable[..., DataProfile]) -> None:
    loose, packed = steps(profile=rows()), steps(profile=rows(), packing=True)
    assert packed.sequences < loose.sequences / 2
    assert packed.padded == packed.real > 0.9 * 1024
    assert loose.padded > loose.real


def test_padding_costs_time_but_is_no_token_trained(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    speed = rate(boxes["a100"], cpu=False)
    shape = shapes["llama3-8b"]
    one = time(setup(shape, rows=1), speed, steps(profile=rows(), micro_batch=1))
    eight = time(setup(shape, rows=8), speed, steps(profile=rows(), micro_batch=8))
    assert eight.tokens_per_second < one.tokens_per_second


def test_a_4_bit_base_is_slower_and_a_faster_card_is_faster(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    plain, quantized = setup(shapes["llama3-8b"], adapter_bytes=2), setup(shapes["llama3-8b"], "qlora")
    a100, h200 = (rate(boxes[name], cpu=False) for name in ("a100", "h200"))
    assert step_seconds(quantized, a100, steps()) > step_seconds(plain, a100, steps())
    assert step_seconds(plain, h200, steps()) < step_seconds(plain, a100, steps())


def test_the_t4_and_the_4080_lie_near_their_published_fits(box: Callable[..., Hardware]) -> None:
    assert 15 < rate(box("Tesla T4", 15.0), cpu=False).half < 30


def test_an_unknown_card_is_said_to_be_a_guess_with_a_wide_interval(box: Callable[..., Hardware]) -> None:
    known, unknown = rate(box("NVIDIA L40S", 48.0), cpu=False), rate(box("Foo 9000", 48.0), cpu=False)
    assert "not in ftui's table" in unknown.source
    assert unknown.doubt > known.doubt
    assert "data sheet 362" in known.source


def test_similar_names_are_not_mixed_up(box: Callable[..., Hardware]) -> None:
    found = {name: rate(box(name, 48.0), cpu=False).source.split()[2] for name in (
        "NVIDIA A100-SXM4-80GB", "NVIDIA A10G", "NVIDIA A10", "NVIDIA L4", "NVIDIA L40", "NVIDIA L40S", "NVIDIA A40",
        "NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3", "NVIDIA RTX 6000 Ada Generation", "NVIDIA RTX A6000",
        "NVIDIA GeForce RTX 3090 Ti", "Tesla T4", "NVIDIA RTX A4000", "NVIDIA GB200",
    )}
    assert [found[name] for name in ("NVIDIA A10G", "NVIDIA A10", "NVIDIA A100-SXM4-80GB")] == ["70", "125", "312"]
    assert [found[name] for name in ("NVIDIA L4", "NVIDIA L40", "NVIDIA L40S")] == ["121", "181", "362"]
    assert [found[name] for name in ("NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3")] == ["756", "989"]
    assert found["NVIDIA RTX A4000"] == "NVIDIA"  # a guess names the card


def test_every_sheet_has_a_source() -> None:
    assert all(sheet.source.startswith("https://") and sheet.half >= sheet.single / 2 for sheet in SHEETS)


@pytest.mark.parametrize(
    ("card", "profile", "share"),
    [
        ("NVIDIA A100-SXM4-40GB", "3g.20gb", 3 / 7),
        ("NVIDIA H100 80GB HBM3", "1g.10gb+me", 1 / 7),
        ("NVIDIA A30", "2g.12gb", 0.5),
    ],
)
def test_a_slice_of_a_card_has_the_compute_slices_that_its_profile_names(
    box: Callable[..., Hardware], card: str, profile: str, share: float
) -> None:
    whole = box(card, 20.0)
    gpu = whole.gpus[0].model_copy(update={"mig": True, "name": f"{card} MIG {profile}"})
    sliced = rate(whole.model_copy(update={"gpus": (gpu,)}), cpu=False)
    assert sliced.half == pytest.approx(rate(whole, cpu=False).half * share)
    assert " slices" in sliced.source


def test_disk_holds_the_kept_checkpoints_one_being_written_and_the_output(shapes: dict[str, ModelShape]) -> None:
    found = setup(shapes["llama-7b"])
    assert result_bytes(found) == 4 * 39_976_960
    assert checkpoint_bytes(found) == 3 * result_bytes(found)
    assert disk_bytes(found, 4) - disk_bytes(found, 2) == 2 * checkpoint_bytes(found)
    paged = setup(shapes["llama-7b"], "full", optimizer="paged_adamw_8bit")
    assert checkpoint_bytes(paged) == 4 * shapes["llama-7b"].parameters
