"""Weights and optimizer states by format: what bitsandbytes, torch and transformers allocate, to the byte."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ftui.models.document import Linear, ModelShape
from ftui.planner.geometry import chosen, geometry
from ftui.planner.setup import Setup, number_formats
from ftui.planner.stack import CURRENT
from ftui.planner.states import optimizer_bytes, optimizer_workspace, trainable_parameters, trained, weight_bytes

OPTIMIZERS = (
    "adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit", "adafactor", "lion", "lion_8bit", "paged_lion_8bit",
    "sgd",
)
HIDDEN, MLP, VOCAB, LAYERS = 128, 512, 1000, 2
NAMES = (
    ("q_proj", HIDDEN, HIDDEN), ("k_proj", HIDDEN, 64), ("v_proj", HIDDEN, 64), ("o_proj", HIDDEN, HIDDEN),
    ("gate_proj", HIDDEN, MLP), ("up_proj", HIDDEN, MLP), ("down_proj", MLP, HIDDEN),
)
LINEARS = sum(inputs * outputs for _, inputs, outputs in NAMES) * LAYERS
NORMS = (2 * LAYERS + 1) * HIDDEN


def shape(tied: bool = False) -> ModelShape:
    return ModelShape(
        ref="x", source="config", model_type="llama", architecture="LlamaForCausalLM", hidden=HIDDEN, intermediate=MLP,
        layers=LAYERS, heads=8, kv_heads=4, head_dim=16, vocab=VOCAB, context_length=512, tied_embeddings=tied,
        linears=tuple(Linear(name=n, inputs=i, outputs=o, count=LAYERS) for n, i, o in NAMES),
        parameters=LINEARS + NORMS + VOCAB * HIDDEN * (1 if tied else 2), embedding_parameters=VOCAB * HIDDEN,
    )


def setup(
    method: Any = "lora", device: Any = "cuda", tied: bool = False, dtype: str = "bfloat16", **more: Any
) -> Setup:
    sizes = geometry(shape(tied))
    fields: dict[str, Any] = {
        "geometry": sizes, "method": method, "device": device, "rows": 1, "length": 64, "padded": False,
        "checkpointing": True, "attention": "sdpa", "optimizer": "adamw", "rank": 0 if method == "full" else 8,
        "targets": () if method == "full" else chosen(sizes, "all-linear"),
    }
    return Setup(**{**fields, **number_formats(method, device, dtype), **more})


def test_four_bits_are_half_a_byte_and_their_scales_whatever_the_kind() -> None:
    rest = (2 * VOCAB * HIDDEN + NORMS) * 2
    plain = setup("qlora", quantization="nf4", double_quantization=False)
    assert weight_bytes(plain) == LINEARS / 2 + LINEARS / 64 * 4 + rest
    double = replace(plain, double_quantization=True)
    assert weight_bytes(double) == LINEARS / 2 + LINEARS / 64 + LINEARS / 64 / 256 * 4 + rest
    assert weight_bytes(replace(double, quantization="fp4")) == weight_bytes(double)


def test_eight_bits_are_a_byte_and_a_scale_per_row() -> None:
    rows = sum(outputs for _, _, outputs in NAMES) * LAYERS
    rest = (2 * VOCAB * HIDDEN + NORMS) * 2
    assert weight_bytes(setup("lora-int8", quantization="int8")) == LINEARS + 4 * rows + rest


def test_upcasts_double_what_is_not_quantized() -> None:
    plain = setup("qlora", quantization="nf4")
    rest = 2 * VOCAB * HIDDEN + NORMS
    assert weight_bytes(replace(plain, upcast="all")) == weight_bytes(plain) + 2 * rest
    assert weight_bytes(replace(plain, upcast="norms")) == weight_bytes(plain) + 2 * 2 * LAYERS * HIDDEN
    assert weight_bytes(replace(setup("lora"), upcast="all")) == weight_bytes(setup("lora"))


def test_the_towers_of_a_multimodal_model_are_held_and_not_trained() -> None:
    plain = setup("full")
    with_tower = replace(plain, geometry=replace(plain.geometry, beside=64_000))
    assert weight_bytes(with_tower) == weight_bytes(plain) + 2 * 64_000
    assert trainable_parameters(with_tower) == trainable_parameters(plain)
    small = setup("qlora", quantization="nf4")
    beside = weight_bytes(replace(small, geometry=replace(small.geometry, beside=64_000))) - weight_bytes(small)
    assert 32_000 < beside < 34_000


@pytest.mark.parametrize("tied", [False, True])
def test_the_tensors_of_full_tuning_are_all_parameters(tied: bool) -> None:
    found = setup("full", tied=tied)
    assert sum(one.elements * one.count for one in trained(found)) == trainable_parameters(found)


@pytest.mark.parametrize(("optimizer", "per_element"), [
    ("paged_adamw", 8), ("lion", 4), ("adamw_8bit", 2 + 8 / 256), ("lion_8bit", 1 + 4 / 256),
])
def test_bitsandbytes_states_ignore_the_weights_format(optimizer: str, per_element: float) -> None:
    found = setup("full", "cpu", optimizer=optimizer, dtype="bfloat16")
    vectors = NORMS if optimizer.endswith("8bit") else 0
    states = 2 if "adamw" in optimizer else 1
    wanted = (found.geometry.parameters - vectors) * per_element + 4 * states * vectors
    # transformers has the embedding's states kept in float32.
    wanted += (4 * states - per_element) * found.geometry.embedding if vectors else 0
    assert optimizer_bytes(found) == pytest.approx(wanted, abs=1)


def test_large_tensors_are_paged_out_and_small_ones_stay() -> None:
    found = setup("full", optimizer="paged_lion_8bit")
    small = found.geometry.parameters - 2 * VOCAB * HIDDEN  # only the tables have 100,000 elements
    assert optimizer_bytes(found) == pytest.approx((small - NORMS) * (1 + 4 / 256) + 4 * NORMS, abs=1)
    adapter = setup("lora", optimizer="paged_adamw")
    assert optimizer_bytes(adapter) == 8 * adapter.adapter_parameters


def test_adafactor_works_tensor_by_tensor_in_float32() -> None:
    half, single = setup("full", optimizer="adafactor"), setup("full", dtype="float32", optimizer="adafactor")
    table = VOCAB * HIDDEN
    assert optimizer_workspace(half) == max(16 * table, 20 * MLP * HIDDEN)
    assert optimizer_workspace(single) == max(8 * table, 12 * MLP * HIDDEN)
    sides = sum(inputs + outputs for _, inputs, outputs in NAMES) * LAYERS + 2 * (VOCAB + HIDDEN) + NORMS
    assert optimizer_bytes(half) == 4 * sides


def test_an_optimizer_that_loops_takes_all_roots_at_once() -> None:
    fused = setup("full")
    assert optimizer_workspace(fused) == 0
    assert optimizer_workspace(replace(fused, stack=replace(CURRENT, foreach_optimizer=True))) == (
        2 * fused.geometry.parameters
    )


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_states_are_what_the_library_allocates(method: str, dtype: str, optimizer: str) -> None:
    """One step of the very optimizer that the worker's trainer makes, on weights of the same shapes, on the CPU."""
    import torch
    from transformers import Trainer, TrainingArguments

    from ftui.worker.arguments import OPTIMIZERS as names

    found = setup(method, "cpu", dtype=dtype, optimizer=optimizer)
    # Here are tensors, no modules of which one could be known for an embedding.
    found = replace(found, stack=replace(CURRENT, embeddings_in_32_bits=False))
    width = torch.float32 if (dtype == "float32" or method == "lora") else torch.bfloat16
    parameters = [
        torch.nn.Parameter(torch.ones((one.rows, one.columns) if one.rows > 1 else one.columns, dtype=width))
        for one in trained(found) for _ in range(one.count)
    ]
    kind, options = Trainer.get_optimizer_cls_and_kwargs(
        TrainingArguments(output_dir="/nowhere", optim=names[optimizer], report_to=[], use_cpu=True)
    )
    made = kind(parameters, **options)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    made.step()
    tables = {"qmap1", "qmap2"}  # codebooks, a KiB for all tensors together
    held = sum(
        value.nbytes for state in made.state.values() for name, value in state.items()
        if isinstance(value, torch.Tensor) and name not in tables and value.numel() > 1
    )
    assert held == pytest.approx(optimizer_bytes(found), rel=2e-3, abs=64)
