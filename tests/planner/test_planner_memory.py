"""Peak memory in closed form: against traced and archived peaks, and by what must hold for any setup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.models.document import Linear, ModelShape
from ftui.planner.activations import layers_of
from ftui.planner.geometry import chosen, geometry
from ftui.planner.memory import memory, moments, process_bytes
from ftui.planner.setup import Setup, number_formats
from ftui.planner.states import (
    gradient_bytes,
    optimizer_bytes,
    trainable_parameters,
    weight_bytes,
)

GIB = 1 << 30


def setup(shape: ModelShape, method: str = "lora", rows: int = 1, length: int = 2048, **more: object) -> Setup:
    """A setup on CUDA in bfloat16 with rank-16 adapters on all linear modules, unless `more` says otherwise."""
    sizes = geometry(shape)
    full = method == "full"
    fields: dict[str, object] = {
        "geometry": sizes, "method": method, "device": "cuda", "rows": rows, "length": length, "padded": False,
        "loss": "tiled",
        "checkpointing": True, "attention": "sdpa", "optimizer": "adamw", "rank": 0 if full else 16,
        "quantization": {"qlora": "nf4", "lora-int8": "int8"}.get(method, "none"),
        "targets": () if full else chosen(sizes, "all-linear"), "compute_capability": (8, 0),
        **number_formats(method, "cuda", "bfloat16"),  # type: ignore[arg-type]
    }
    return Setup(**{**fields, **more})  # type: ignore[arg-type]


def allocated(found: Setup) -> float:
    """The allocated peak in GiB without cuBLAS' workspaces, as a trace counts it."""
    states = optimizer_bytes(found)
    peak = max(moment.total(states) for moment in moments(found))
    return (weight_bytes(found) + found.adapter_bytes * found.adapter_parameters + peak) / GIB


@pytest.mark.parametrize(("model", "rows", "length", "more", "traced"), [
    ("llama-7b", 1, 2048, {"loss": "full", "autocast": False, "checkpointing": False}, 30.49),
    ("llama-7b", 1, 2048, {"loss": "full", "autocast": False}, 14.26),
    ("qwen2-0.5b", 1, 2048, {"loss": "full", "autocast": False, "checkpointing": False}, 8.25),
    ("qwen2-0.5b", 1, 2048, {"loss": "full", "autocast": False}, 4.59),
    ("llama3-8b", 4, 2048, {}, 20.1),
    ("llama3-8b", 4, 2048, {"loss": "full"}, 29.3),
    ("llama3-8b", 4, 2048, {"attention": "eager"}, 26.0),
    ("llama3-8b", 4, 2048, {"checkpointing": False}, 69.6),
    ("llama3-8b", 4, 2048, {"checkpointing": False, "attention": "eager"}, 169.0),
])
def test_the_formula_meets_traced_peaks(
    shapes: dict[str, ModelShape], model: str, rows: int, length: int, more: dict[str, object], traced: float
) -> None:
    assert allocated(setup(shapes[model], rows=rows, length=length, **more)) == pytest.approx(traced, rel=0.02)


def test_a_rank_16_adapter_on_llama_7b_has_the_known_count(shapes: dict[str, ModelShape]) -> None:
    assert setup(shapes["llama-7b"]).adapter_parameters == 39_976_960


def test_four_bits_take_half_a_byte_and_their_nested_scales(shapes: dict[str, ModelShape]) -> None:
    found = setup(shapes["llama-7b"], "qlora")
    linear = found.geometry.linear_weights
    rest = (shapes["llama-7b"].parameters - linear) * 2
    assert weight_bytes(found) == pytest.approx(linear * (0.5 + 1 / 64 + 4 / (64 * 256)) + rest, rel=1e-9)
    single = replace(found, double_quantization=False)
    assert weight_bytes(single) - weight_bytes(found) == pytest.approx(linear * 0.373 / 8, rel=0.01)


def test_fused_experts_stay_in_16_bits_under_quantization(shapes: dict[str, ModelShape]) -> None:
    mixture = shapes["mixture"]
    found = setup(mixture, "qlora")
    assert weight_bytes(found) > 0.9 * 2 * found.geometry.packed_weights
    assert any("expert" in note for note in memory(found).notes)


def test_all_linear_reaches_fused_experts_with_twice_the_rank_where_peft_does(shapes: dict[str, ModelShape]) -> None:
    mixture = shapes["mixture"]
    experts = 8 * 8 * 16 * (2 * (1024 + 7168) + 3584 + 1024)
    attention = 8 * 16 * (2048 + 1280 + 1280 + 2048)
    router = 8 * 16 * (1024 + 8)
    assert setup(mixture).adapter_parameters == experts + attention + router
    other = geometry(mixture.model_copy(update={"model_type": "other_moe"}))
    assert [t.name for t in chosen(other, "all-linear")] == ["q_proj", "k_proj", "v_proj", "o_proj"]


def test_fused_query_key_value_keep_all_three_alive(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["llama-7b"]
    fused = (Linear(name="qkv_proj", inputs=4096, outputs=3 * 4096, count=32), *shape.linears[3:])
    apart = layers_of(setup(shape))[0].parts.layer.kept
    together = layers_of(setup(shape.model_copy(update={"linears": fused})))[0].parts.layer.kept
    views, copies, middles = 2 * 2 * 4096, 2 * 2 * 4096, 2 * 2 * 16
    assert (together - apart).real == views - copies - middles  # two views more, two adapters' inputs and middles less


def test_full_tuning_holds_weights_gradients_and_two_states(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["mistral-7b"]
    found = setup(shape, "full")
    assert gradient_bytes(found) == 2 * shape.parameters
    assert optimizer_bytes(found) == 4 * shape.parameters
    assert memory(found).allocated_bytes > 8 * shape.parameters


@pytest.mark.parametrize(("optimizer", "low", "high"), [
    ("adamw", 4.0, 4.0), ("adamw_8bit", 2.1, 2.2), ("lion_8bit", 1.05, 1.1), ("paged_adamw_8bit", 0.0, 0.001),
    ("sgd", 0.0, 0.0), ("adafactor", 0.0, 0.05),
])
def test_optimizer_states_have_their_known_size_per_parameter(
    shapes: dict[str, ModelShape], optimizer: str, low: float, high: float
) -> None:
    shape = shapes["mistral-7b"]
    states = optimizer_bytes(setup(shape, "full", optimizer=optimizer)) / shape.parameters
    assert low <= states <= high


def test_small_adapter_tensors_keep_float32_states_in_an_8_bit_optimizer(shapes: dict[str, ModelShape]) -> None:
    small = setup(shapes["tiny"], optimizer="adamw_8bit", rank=4, **number_formats("lora", "cpu", "float32"))
    assert optimizer_bytes(small) == 8 * small.adapter_parameters


def test_a_paged_optimizer_saves_nothing_on_a_cpu(shapes: dict[str, ModelShape]) -> None:
    on_cpu = setup(shapes["tiny"], "full", device="cpu", optimizer="paged_adamw_8bit",
                   **number_formats("full", "cpu", "float32"))
    assert optimizer_bytes(on_cpu) == optimizer_bytes(replace(on_cpu, optimizer="adamw_8bit")) > 0


def test_float16_full_tuning_is_planned_with_float32_weights() -> None:
    assert number_formats("full", "cuda", "float16") == {
        "weight_bytes": 4, "compute_bytes": 2, "adapter_bytes": 4, "autocast": True,
    }


def test_accumulated_gradients_are_there_while_the_next_micro_batch_runs(shapes: dict[str, ModelShape]) -> None:
    once = setup(shapes["mistral-7b"], "full", rows=4)
    assert memory(replace(once, accumulation=4)).process_bytes > memory(once).process_bytes


def test_dropout_keeps_a_copy_and_a_mask_per_adapter(shapes: dict[str, ModelShape]) -> None:
    plain = setup(shapes["llama3-8b"], "qlora", rows=2, checkpointing=False)
    assert memory(replace(plain, dropout=True)).allocated_bytes > 1.05 * memory(plain).allocated_bytes


def test_eager_attention_grows_with_the_square_of_the_length(shapes: dict[str, ModelShape]) -> None:
    lengths, shape = (2048, 4096, 8192), shapes["mistral-7b"]
    eager = [memory(setup(shape, length=length, attention="eager")).allocated_bytes for length in lengths]
    fused = [memory(setup(shape, length=length)).allocated_bytes for length in lengths]
    assert eager[2] - eager[1] > 3 * (eager[1] - eager[0])
    assert fused[2] - fused[1] < 2.2 * (fused[1] - fused[0])


def test_a_targeted_pattern_means_what_peft_makes_of_it(shapes: dict[str, ModelShape]) -> None:
    targets = geometry(shapes["llama3-8b"])
    assert [t.name for t in chosen(targets, ("q_proj", "v_proj"))] == ["q_proj", "v_proj"]
    assert [t.name for t in chosen(targets, r".*\.(gate|up)_proj")] == ["gate_proj", "up_proj"]
    assert chosen(targets, "all-linear") == targets.targets
    assert chosen(targets, "[broken(") == targets.targets


def test_the_interval_widens_where_the_formula_is_weak(shapes: dict[str, ModelShape]) -> None:
    def width(found: Setup) -> float:
        estimate = memory(found)
        return (estimate.high_bytes - estimate.low_bytes) / estimate.process_bytes

    known = setup(shapes["llama3-8b"], rows=4)
    assert width(replace(known, geometry=replace(known.geometry, known=False))) > width(known)
    assert width(setup(shapes["mixture"], rows=4, checkpointing=False)) > width(
        setup(shapes["llama3.2-3b"], rows=4, checkpointing=False)
    )


SETUPS = st.fixed_dictionaries({
    "method": st.sampled_from(["full", "lora", "qlora", "lora-int8"]),
    "rows": st.integers(1, 64), "length": st.integers(8, 32768),
    "checkpointing": st.booleans(), "padded": st.booleans(), "dropout": st.booleans(),
    "attention": st.sampled_from(["sdpa", "eager", "flash_attention_2"]),
    "optimizer": st.sampled_from(["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "lion_8bit", "sgd"]),
    "accumulation": st.sampled_from([1, 4]), "loss": st.sampled_from(["chunked", "tiled", "full", "liger"]),
})
NAMES = st.sampled_from(["llama-7b", "llama3-8b", "llama3.2-3b", "qwen2-0.5b", "tiny", "mixture"])


@given(NAMES, SETUPS, st.sampled_from(["cuda", "cpu"]), st.sampled_from(["bfloat16", "float16", "float32"]))
@settings(max_examples=300, deadline=None)
def test_the_parts_sum_to_the_peak_and_lie_within_the_interval(
    shapes: dict[str, ModelShape], model: str, fields: dict[str, object], device: str, dtype: str
) -> None:
    formats = number_formats(fields["method"], device, dtype)  # type: ignore[arg-type]
    estimate = memory(setup(shapes[model], device=device, **{**fields, **formats}))  # type: ignore[arg-type]
    parts = estimate.parts
    assert sum(parts.as_dict().values()) == estimate.process_bytes
    assert all(value >= 0 for value in parts.as_dict().values())
    assert estimate.reserved_bytes == estimate.allocated_bytes + parts.slack
    assert estimate.low_bytes <= estimate.process_bytes <= estimate.high_bytes
    assert estimate.phase


@given(NAMES, SETUPS)
@settings(max_examples=150, deadline=None)
def test_the_short_way_says_the_same_as_the_whole(
    shapes: dict[str, ModelShape], model: str, fields: dict[str, object]
) -> None:
    found = setup(shapes[model], **fields)  # type: ignore[arg-type]
    estimate = memory(found)
    assert process_bytes(found) == (estimate.process_bytes, estimate.high_bytes)


@given(NAMES, SETUPS, st.sampled_from(["rows", "length", "rank", "layers"]))
@settings(max_examples=300, deadline=None)
def test_more_rows_tokens_rank_or_layers_never_take_less(
    shapes: dict[str, ModelShape], shape_of: Callable[..., ModelShape], model: str, fields: dict[str, object], what: str
) -> None:
    shape = shapes[model]
    small = setup(shape, **fields)  # type: ignore[arg-type]
    if what == "layers":
        deeper = shape.model_copy(update={
            "layers": shape.layers + 1,
            "linears": tuple(
                x.model_copy(update={"count": x.count // shape.layers * (shape.layers + 1)}) for x in shape.linears
            ),
            "parameters": shape.parameters + sum(x.inputs * x.outputs * x.count for x in shape.linears) // shape.layers,
        })
        large = setup(deeper, **fields)  # type: ignore[arg-type]
    else:
        large = replace(small, **{what: getattr(small, what) + (1 if what != "rank" else small.rank)})
    assert memory(large).process_bytes >= memory(small).process_bytes
    assert trainable_parameters(large) >= trainable_parameters(small)


@given(NAMES, SETUPS)
@settings(max_examples=150, deadline=None)
def test_checkpointing_never_takes_more_and_every_phase_is_given(
    shapes: dict[str, ModelShape], model: str, fields: dict[str, object]
) -> None:
    kept, again = (memory(setup(shapes[model], **{**fields, "checkpointing": value})) for value in (False, True))
    # A checkpoint's pass runs again with the gradient at hand: some rows of a layer, where nothing else is larger.
    assert again.allocated_bytes <= 1.02 * kept.allocated_bytes
    assert max(again.phases.values()) == again.allocated_bytes
    assert {"load", "forward", "loss forward", "last layer backward", "optimizer step", "evaluation", "saving"} <= set(
        again.phases
    )
