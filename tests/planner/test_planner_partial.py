"""What freeze tuning and BitFit train and hold, against the models that the worker readies and steps of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ftui.data.document import DataProfile
from ftui.errors import BadInput
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import adapters, estimate, plan, resolve
from ftui.planner.activations import at, layers_of
from ftui.planner.geometry import geometry
from ftui.planner.setup import setup_of
from ftui.recipe import assign, parse

PLAIN = {
    "vocab_size": 90, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "llama": PLAIN, "qwen2": PLAIN, "qwen3": PLAIN | {"head_dim": 16}, "phi": PLAIN,
    "gpt2": {"vocab_size": 90, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128},
    "gpt_neox": {name: size for name, size in PLAIN.items() if name != "num_key_value_heads"},
    "mixtral": PLAIN | {"num_local_experts": 4},
}
WRITTEN = [
    "{kind: freeze}", "{kind: freeze, layers: 1, end: first}", "{kind: freeze, layers: null}",
    "{kind: freeze, layers: 2, modules: NAMED}", "{kind: bitfit}",
]
NAMED = {"gpt2": "[c_fc]", "gpt_neox": "[dense]", "phi": "[fc1, q_proj]", "mixtral": "[q_proj]"}


def real(family: str) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    built = transformers.AutoConfig.for_model(family, **CONFIGS[family], bos_token_id=0, eos_token_id=0, pad_token_id=0)
    return transformers.AutoModelForCausalLM.from_config(built)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("written", WRITTEN)
def test_what_trains_is_what_the_worker_readies(family: str, written: str) -> None:
    from ftui.worker.adapters import BUILDERS

    recipe = parse(f"adapter: {written.replace('NAMED', NAMED.get(family, '[q_proj, down_proj]'))}")
    options: Any = recipe.adapter
    sizes = geometry(build({"model_type": family, **CONFIGS[family]}, Origin("test", "config")))
    counted = adapters.parameters(options.kind, options, (), sizes)
    if options.kind == "bitfit" and not sizes.biases:
        with pytest.raises(BadInput):
            BUILDERS["bitfit"](real(family), recipe)
        assert counted == 0
        return
    model = BUILDERS[options.kind](real(family), recipe)
    assert counted == sum(one.numel() for one in model.parameters() if one.requires_grad)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("written", [
    "{kind: freeze, layers: 1}", "{kind: freeze, layers: 2}", "{kind: freeze, layers: 1, end: first}",
    "{kind: freeze, layers: null}", "{kind: freeze, layers: 2, modules: [down_proj]}",
    "{kind: freeze, layers: 3, modules: [q_proj, up_proj], end: first}",
])
def test_what_the_layers_keep_is_what_torch_saves(
    written: str, box: Callable[..., Hardware]
) -> None:
    import torch

    from ftui.worker.adapters import BUILDERS

    recipe = parse(
        "model: {base: some/model, dtype: float32, quantization: none, attention: sdpa}\n"
        "data: {max_length: 128, packing: false}\n"
        "train: {micro_batch: 1, effective_batch: 1, checkpointing: false, optimizer: adamw}\n"
        f"compute: {{gpus: 0}}\nadapter: {written}"
    )
    shape = build({"model_type": "llama", **CONFIGS["llama"]}, Origin("test", "config"))
    kinds = layers_of(setup_of(recipe, box(), shape, None))
    kept = sum(kind.layers * at(kind.parts.layer.kept, 128) for kind in kinds)
    kept += at(kinds[0].parts.first.kept, 128) - at(kinds[0].parts.layer.kept, 128)

    model = BUILDERS["freeze"](real("llama"), recipe).train()
    outside = {one.untyped_storage()._cdata for one in (*model.parameters(), *model.buffers())}
    saved: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    hidden = model.model.embed_tokens(torch.arange(128)[None] % 90)
    outside.add(hidden.untyped_storage()._cdata)
    places = torch.arange(128)[None]
    turns = model.model.rotary_emb(hidden, places)
    outside |= {one.untyped_storage()._cdata for one in turns}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one):
        for layer in model.model.layers:
            hidden = layer(hidden, attention_mask=None, position_ids=places, position_embeddings=turns)
    found = sum(size for storage, size in saved.items() if storage not in outside)
    assert kept == pytest.approx(found, rel=0.08)


def test_a_part_of_the_model_takes_less_than_the_whole_and_the_last_layers_least(
    box: Callable[..., Hardware], shapes: Mapping[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    shape, hardware, profile = shapes["llama3.2-3b"], box(), rows()
    draft = parse("model: {base: some/model}\nadapter: {kind: freeze, layers: 4}\ntrain: {micro_batch: 4}")
    recipe = resolve(draft, plan(hardware, shape, profile, draft))
    assert recipe.model.quantization == "none"

    def planned(**changes: Any) -> Any:
        changed = assign(recipe, {name.replace("__", "."): value for name, value in changes.items()})
        return estimate(changed, hardware, shape, profile)

    last, first, more = planned(), planned(adapter__end="first"), planned(adapter__layers=8)
    assert last.memory.parts.adapter == 0
    assert last.trainable_parameters == first.trainable_parameters == 4 * 100_669_440
    assert more.trainable_parameters == 2 * last.trainable_parameters
    assert last.memory.parts.activations < first.memory.parts.activations
    assert last.memory.process_bytes < more.memory.process_bytes
    assert last.memory.parts.optimizer == 2 * 2 * last.trainable_parameters
    assert recipe.train.learning_rate < 1e-4  # the rate of full tuning
    assert last.time.step_seconds < first.time.step_seconds < planned(adapter__layers=None).time.step_seconds
    # A checkpoint holds the whole model.
    assert last.adapter_bytes == 2 * shape.parameters


def test_a_plan_says_that_bitfit_has_nothing_to_train(
    box: Callable[..., Hardware], shapes: Mapping[str, ModelShape]
) -> None:
    draft = parse("model: {base: some/model}\nadapter: {kind: bitfit}")
    with pytest.raises(BadInput, match="no biases, so BitFit has nothing to train"):
        plan(box(), shapes["llama3.2-3b"], None, draft)
    biased = build({"model_type": "qwen2", **CONFIGS["qwen2"]}, Origin("test", "config"))
    assert plan(box(), biased, None, draft).recommendation.method == "lora"
