"""What LoRA's options train, as planned, against what the worker's builder makes of them on six families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ftui.data.document import DataProfile
from ftui.errors import BadInput
from ftui.hardware.document import Hardware
from ftui.methods.layers import chosen_layers, stacked_layers
from ftui.methods.lora import LoraOptions
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import plan
from ftui.planner.geometry import Geometry, geometry
from ftui.planner.lora import lora_frozen, lora_targets, lora_trained, stacked
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of
from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe

SMALL: Mapping[str, Any] = {
    "vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 0,
}
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "llama": {**SMALL, "tie_word_embeddings": False},
    "qwen2": {**SMALL, "tie_word_embeddings": True},
    "gemma2": {**SMALL, "head_dim": 8, "tie_word_embeddings": True},
    "gpt2": {"vocab_size": 90, "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64},
    "gpt_neox": {key: value for key, value in SMALL.items() if key != "num_key_value_heads"},
    "mixtral": {**SMALL, "num_local_experts": 4, "num_experts_per_tok": 2},
}
QUERY = {"gpt2": "c_attn", "gpt_neox": "query_key_value"}
LAST = {"gpt2": "c_fc", "gpt_neox": "dense_4h_to_h", "mixtral": "o_proj"}
NORM = {"gpt2": "ln_f", "gpt_neox": "final_layer_norm"}
EMBEDDING = {"gpt2": "wte", "gpt_neox": "embed_in"}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "plain": {}, "names": {"targets": ["QUERY", "LAST"]}, "last layers": {"layers": "last 2"},
    "a layer of a name": {"targets": ["QUERY"], "layers": "0, 3"},
    "pattern": {"targets": r"re:.*\.(0|2)\..*(QUERY|LAST)"},
    "pattern in layers": {"targets": "re:.*(QUERY|LAST)", "layers": "first 3"},
    "ranks": {"rank_pattern": {"QUERY": 6, r"[a-z_.]*\.1\..*LAST": 2}, "targets": ["QUERY", "LAST"]},
    "DoRA": {"dora": True, "targets": ["QUERY", "LAST"]}, "bias": {"bias": True, "targets": ["QUERY", "LAST"]},
    "MiCA": {"init": "mica", "targets": ["QUERY"]}, "LoRA-FA": {"update": "fa", "targets": ["QUERY", "LAST"]},
    "tokens": {"tokens": [1, 5, 5]}, "head": {"modules_to_save": ["HEAD"]},
    "head and embedding": {"modules_to_save": ["HEAD", "EMBEDDING"]}, "norm": {"modules_to_save": ["NORM"]},
    "QALoRA": {"qalora_group": 8, "targets": ["QUERY", "LAST"]},
    "deeper": {"layer_replication": "0-2, 1-3", "targets": ["QUERY", "LAST"]},
}
UNFIT = {
    ("mixtral", "pattern"): "in all layers",
    ("mixtral", "last layers"): "fused experts in all layers",
    ("mixtral", "pattern in layers"): "fused experts in all layers",
    ("mixtral", "a layer of a name"): "fused experts in all layers",
}
NOT_DEEPER = ("gpt2", "gpt_neox", "qwen2", "gemma2")
"""peft finds no layers to copy in GPT-2 and NeoX, and ftui refuses those whose configuration lists them."""


def in_family(value: Any, family: str) -> Any:
    """`value` with this family's module names."""
    if isinstance(value, str):
        for word, names, usual in (
            ("QUERY", QUERY, "q_proj"), ("LAST", LAST, "down_proj"), ("NORM", NORM, "norm"),
            ("EMBEDDING", EMBEDDING, "embed_tokens"), ("HEAD", {}, "lm_head"),
        ):
            value = value.replace(word, names.get(family, usual))
        return value
    if isinstance(value, dict):
        return {in_family(key, family): inner for key, inner in value.items()}
    return [in_family(one, family) for one in value] if isinstance(value, list) else value


def shaped(family: str) -> tuple[Any, Geometry]:
    from transformers import AutoConfig

    config = AutoConfig.for_model(family, **FAMILIES[family])
    return config, geometry(build({**config.to_dict(), "model_type": family}, Origin("test", "config")))


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    plain = {"adapter.rank": 4, "adapter.alpha": 8.0, "adapter.dropout": 0.0}
    return assign(Recipe(), plain | {f"adapter.{name}": value for name, value in options.items()})


def expected(options: LoraOptions, sizes: Geometry) -> tuple[int, int]:
    """(elements that train, elements of matrices that don't), as planned."""
    sizes = stacked(options, sizes)
    targets = lora_targets(options, sizes)
    made = lora_trained(options, 4, targets, sizes)
    return sum(one.elements * one.count for one in made), lora_frozen(options, 4, targets, sizes)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore::UserWarning:peft")
def test_what_is_planned_to_train_is_what_the_builder_trains(family: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    from ftui.worker.adapters.lora import lora
    from ftui.worker.adapters.lora_optimizer import optimizer_of

    config, sizes = shaped(family)
    maker: Any = Trainer
    for name, stated in OPTIONS.items():
        recipe = recipe_of({key: in_family(value, family) for key, value in stated.items()})
        options: Any = recipe.adapter
        if said := UNFIT.get((family, name)):
            with pytest.raises(BadInput, match=said):
                expected(options, sizes)
            continue
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_config(config)
        if name == "deeper" and family in NOT_DEEPER:
            with pytest.raises(BadInput):
                lora(base, recipe)
            continue
        model = lora(base, recipe)
        if options.update != "plain":
            optimizer_of(model, TrainingArguments("x", use_cpu=True), options, maker)
        trains = sum(p.numel() for p in model.parameters() if p.requires_grad)
        frozen = sum(p.numel() for n, p in model.named_parameters() if ".lora_" in n and not p.requires_grad)
        assert expected(options, sizes) == (trains, frozen), name


@pytest.mark.torch
@pytest.mark.slow
def test_adapters_on_named_expert_tensors_are_counted() -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from ftui.worker.adapters.lora import lora

    config = AutoConfig.for_model("gpt_oss", **SMALL, num_local_experts=4, num_experts_per_tok=2, head_dim=8)
    sizes = geometry(build({**config.to_dict(), "model_type": "gpt_oss"}, Origin("test", "config")))
    recipe = recipe_of({"targets": ["q_proj"], "parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]})
    with torch.device("meta"):
        model = lora(AutoModelForCausalLM.from_config(config), recipe)
    options: Any = recipe.adapter
    assert expected(options, sizes)[0] == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_ranges_of_layers_are_read_as_they_are_written() -> None:
    assert chosen_layers("0-2, last 2", 6) == (0, 1, 2, 4, 5)
    assert chosen_layers("first 1, 3", 6) == (0, 3)
    assert stacked_layers("0-3, 2-5", 6) == (0, 1, 2, 3, 2, 3, 4, 5)
    for text in ("seven", "3-1", "last 0", ""):
        with pytest.raises(BadInput, match="names no layers"):
            chosen_layers(text, 6)
    with pytest.raises(BadInput, match="doesn't have"):
        chosen_layers("4-6", 6)


@pytest.mark.parametrize(
    ("asked", "methods"),
    [("{kind: lora, init: pissa}", {"lora"}), ("{kind: lora, init: loftq}", {"qlora"}),
     ("{kind: lora, init: eva}", {"lora", "qlora", "lora-int8"})],
)
def test_a_start_that_needs_the_bases_own_weights_is_planned_on_them(
    asked: str, methods: set[str], box: Callable[..., Hardware], shapes: Mapping[str, ModelShape],
    rows: Callable[..., DataProfile],
) -> None:
    made = plan(box(), shapes["llama3.2-3b"], rows(), parse(f"model: {{base: some/model}}\nadapter: {asked}"))
    assert {option.method for option in (made.recommendation, *made.alternatives, *made.rejected)} == methods


def test_what_a_start_holds_and_what_cant_be_merged_is_said(
    box: Callable[..., Hardware], shapes: Mapping[str, ModelShape]
) -> None:
    asked = "{kind: lora, init: corda}", "{kind: lora, init: lora_ga}", "{kind: lora, layer_replication: '0-27, 14-27'}"
    said = []
    for adapter in asked:
        made = plan(box(), shapes["llama3.2-3b"], None, parse(f"model: {{base: some/model}}\nadapter: {adapter}"))
        said += [risk.text for risk in made.risks if risk.path in ("adapter.init", "adapter.layer_replication")]
    assert len(said) == 3
    assert "of covariances beside the base" in said[0]
    assert "5.2 GiB of gradients" in said[1]  # 2.8 billion adapted weights in 16 bits
    assert "can't be merged" in said[2]


def test_a_start_from_the_base_is_saved_at_twice_its_rank(
    box: Callable[..., Hardware], shapes: Mapping[str, ModelShape]
) -> None:
    def result(adapter: str) -> int:
        draft = parse(f"model: {{base: some/model, quantization: none}}\nadapter: {{kind: lora, rank: 16, {adapter}}}")
        return plan(box(), shapes["llama3.2-3b"], None, draft).recommendation.adapter_bytes

    assert result("init: pissa") == 2 * result("init: default")
    head = 128_256 * 3072 * 4
    assert result("init: pissa, modules_to_save: [lm_head]") == 2 * result("init: default") + head
    assert result("update: fa") == result("init: default")


def test_a_deeper_stack_of_the_same_weights_takes_more_activations_and_no_more_weights(
    box: Callable[..., Hardware], shapes: Mapping[str, ModelShape]
) -> None:
    def parts(adapter: str) -> Any:
        draft = parse("model: {base: some/model, quantization: none}\ntrain: {micro_batch: 1, effective_batch: 1, "
                      f"checkpointing: false}}\nadapter: {adapter}")
        return plan(box(), shapes["llama3.2-3b"], None, draft).recommendation.memory.parts

    plain, deeper = parts("{kind: lora, rank: 16}"), parts("{kind: lora, rank: 16, layer_replication: '0-27, 0-27'}")
    assert deeper.weights == plain.weights
    assert deeper.adapter == 2 * plain.adapter
    assert deeper.activations > 1.5 * plain.activations


def test_the_interval_reaches_down_to_what_a_few_adapted_layers_take(
    shapes: dict[str, ModelShape], boxes: dict[str, Hardware]
) -> None:
    asked = {"model.quantization": "none", "model.dtype": "bfloat16", "data.max_length": 1024, "adapter.rank": 16,
             "adapter.alpha": 32, "adapter.dropout": 0.0, "train.micro_batch": 1, "train.effective_batch": 1,
             "train.checkpointing": False, "train.optimizer": "adamw", "data.packing": False}  # fmt: skip
    whole, few = (
        memory(setup_of(assign(Recipe(), {**asked, **more}), boxes["a100"], shapes["mistral-7b"], None))
        for more in ({}, {"adapter.layers": "last 4"})
    )
    assert few.low_bytes < 0.8 * whole.low_bytes
    assert any("every layer were adapted" in note for note in few.notes)
    assert not any("every layer were adapted" in note for note in whole.notes)
