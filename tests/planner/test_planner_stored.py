"""Bases that are quantized already: what their files hold, tensor by tensor, and where the formula is not sure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import estimate, plan, resolve
from ftui.planner.document import MemoryEstimate
from ftui.planner.setup import Setup, setup_of
from ftui.planner.states import weight_bytes
from ftui.recipe.document import Recipe

LLAMA_2_7B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
    "max_position_embeddings": 4096, "tie_word_embeddings": False, "dtype": "float16",
}
MODULES = [(4096, 4096)] * 4 + [(4096, 11008)] * 2 + [(11008, 4096)]
REST = 2 * (2 * 32000 * 4096 + 65 * 4096)
"""Embeddings, head and norms in 16 bits."""


def described(**quantization: Any) -> ModelShape:
    return build({**LLAMA_2_7B, "quantization_config": quantization}, Origin("some/model", "config"))


def planned(shape: ModelShape, box: Hardware) -> Setup:
    return setup_of(resolve(Recipe(), plan(box, shape, None, Recipe())), box, shape, None)


def gptq(inputs: int, outputs: int, bits: int, group: int) -> int:
    """qweight and qzeros in int32, scales in float16, g_idx in int32."""
    groups = inputs // group
    return 4 * (inputs * bits // 32 * outputs) + 4 * (groups * outputs * bits // 32) + 2 * groups * outputs + 4 * inputs


@pytest.mark.parametrize(("stated", "module"), [
    ({"quant_method": "gptq", "bits": 4, "group_size": 128}, lambda i, o: gptq(i, o, 4, 128)),
    ({"quant_method": "gptq", "bits": 8, "group_size": 32}, lambda i, o: gptq(i, o, 8, 32)),
    ({"quant_method": "gptq", "bits": 4, "group_size": -1}, lambda i, o: gptq(i, o, 4, i)),
    ({"quant_method": "awq", "bits": 4, "group_size": 128}, lambda i, o: gptq(i, o, 4, 128) - 4 * i),
    ({"quant_method": "fp8", "weight_block_size": [128, 128]}, lambda i, o: i * o + 4 * (i // 128) * (o // 128)),
    ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {
        "num_bits": 4, "strategy": "group", "group_size": 128, "symmetric": True}}}},
     lambda i, o: i * o // 2 + 2 * i // 128 * o),
    ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": False},
     lambda i, o: i * o // 2 + 4 * i * o // 64),
    ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
     lambda i, o: i * o // 2 + i * o // 64 + 4 * i * o // 64 // 256),
    ({"load_in_8bit": True}, lambda i, o: i * o + 4 * o),
])
def test_stored_weights_take_what_their_tensors_do(
    boxes: dict[str, Hardware], stated: dict[str, Any], module: Callable[[int, int], int]
) -> None:
    tensors = 32 * sum(module(i, o) for i, o in MODULES) + REST
    assert weight_bytes(planned(described(**stated), boxes["a100"])) == pytest.approx(tensors, rel=1e-6)


def test_a_published_checkpoint_takes_what_its_file_does(boxes: dict[str, Hardware]) -> None:
    # TheBloke/Llama-2-7B-GPTQ, gptq-4bit-128g: 3.90 GB by its model card.
    found = weight_bytes(planned(described(quant_method="gptq", bits=4, group_size=128), boxes["a100"]))
    assert found / 1e9 == pytest.approx(3.90, abs=0.01)


def test_modules_that_are_not_converted_stay_in_16_bits(boxes: dict[str, Hardware]) -> None:
    stated = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    whole, but = described(**stated), described(**stated, modules_to_not_convert=["down_proj", "lm_head"])
    more = weight_bytes(planned(but, boxes["a100"])) - weight_bytes(planned(whole, boxes["a100"]))
    assert more == 32 * (2 * 11008 * 4096 - gptq(11008, 4096, 4, 128))


def test_only_the_experts_of_gpt_oss_are_stored_in_mxfp4(boxes: dict[str, Hardware]) -> None:
    shape = described(quant_method="mxfp4")
    assert weight_bytes(planned(shape, boxes["a100"])) == 2 * shape.parameters


def test_a_foreign_format_widens_the_interval_and_says_so(
    boxes: dict[str, Hardware], rows: Callable[..., DataProfile]
) -> None:
    def asked(**stated: Any) -> tuple[float, tuple[str, ...]]:
        shape = described(**stated)
        recipe = resolve(Recipe(), plan(boxes["a100"], shape, rows(), Recipe()))
        memory = estimate(recipe, boxes["a100"], shape, rows()).memory
        return (memory.high_bytes - memory.low_bytes) / memory.process_bytes, memory.notes

    own, said_of_own = asked(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    foreign, said = asked(quant_method="gptq", bits=4, group_size=128)
    unknown, said_of_unknown = asked(quant_method="sparse-something")
    assert own < foreign < unknown
    assert not any("kernels" in note for note in said_of_own)
    assert any("gptq's kernels" in note for note in said)
    assert any("not known" in note for note in said_of_unknown)


def test_a_format_that_transformers_cant_train_on_is_a_risk(boxes: dict[str, Hardware]) -> None:
    found = plan(boxes["a100"], described(quant_method="fbgemm_fp8"), None, Recipe())
    assert any("can't train" in risk.text for risk in found.risks)


def test_towers_that_cant_be_counted_widen_the_interval_and_are_named(boxes: dict[str, Hardware]) -> None:
    def memory(config: dict[str, Any]) -> MemoryEstimate:
        shape = build(config, Origin("some/model", "config"))
        recipe = resolve(Recipe(), plan(boxes["a100"], shape, None, Recipe()))
        return estimate(recipe, boxes["a100"], shape, None).memory

    plain = memory(LLAMA_2_7B)
    sound = memory({"model_type": "some_audio", "text_config": LLAMA_2_7B, "audio_config": {"d_model": 1280}})
    assert sound.parts.weights == plain.parts.weights
    assert sound.high_bytes - plain.high_bytes == pytest.approx(1.4e9, rel=0.02)
    assert any("sound" in note for note in sound.notes)
    assert not any("sound" in note for note in plain.notes)
