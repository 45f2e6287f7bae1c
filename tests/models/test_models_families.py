"""The rows of `ftui.models.families` against transformers' own classes, built without weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.errors import BadInput
from ftui.models import describe, families
from ftui.models.families import FAMILIES

QUICK = settings(
    max_examples=12, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TOKENS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def real_class(config: dict[str, Any]) -> Any:
    """The transformers model for `config` on the meta device."""
    import torch
    import transformers

    stated = {key: value for key, value in config.items() if key != "model_type"}
    with torch.device("meta"):
        built = transformers.AutoConfig.for_model(config["model_type"], **stated, **TOKENS)
        return transformers.AutoModelForCausalLM.from_config(built)


@st.composite
def configs(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    """Random small configs of a family, with and without the keys that may be left out."""
    key_heads = draw(st.sampled_from([1, 2, 3]))
    heads = key_heads * draw(st.sampled_from([1, 2, 4]))
    config: dict[str, Any] = {
        "model_type": model_type, "vocab_size": draw(st.integers(7, 300)),
        "hidden_size": heads * draw(st.sampled_from([4, 8, 10])), "num_hidden_layers": draw(st.integers(1, 7)),
        "num_attention_heads": heads,
    }
    if model_type == "gpt2":
        rename = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
        config = {rename.get(key, key): value for key, value in config.items()}
        config |= draw(st.sampled_from([{}, {"n_inner": None}, {"n_inner": 52}]))
        return config | draw(st.sampled_from([{}, {"n_positions": 33}, {"tie_word_embeddings": False}]))
    if model_type != "gpt_neox":
        may_be_null = FAMILIES[model_type].defaults["num_key_value_heads"] is None
        config["num_key_value_heads"] = draw(st.sampled_from([key_heads, None] if may_be_null else [key_heads]))
    config |= draw(st.sampled_from([{}, {"intermediate_size": 56}]))
    config |= draw(st.sampled_from([{}, {"tie_word_embeddings": True}, {"tie_word_embeddings": False}]))
    config |= draw(st.sampled_from([{}, {"attention_bias": True}, {"attention_bias": False}]))
    config |= draw(st.sampled_from([{}, {"mlp_bias": True}]))
    if model_type in ("llama", "mistral", "mixtral", "qwen3", "gemma", "gemma2", "gemma3_text"):
        config |= draw(st.sampled_from([{}, {"head_dim": 12}]))
    if FAMILIES[model_type].sparse_layer:
        config |= draw(st.sampled_from([{"num_local_experts": 3}, {"num_experts": 5}]))
    if model_type == "qwen3_moe":
        config |= draw(st.sampled_from([{}, {"mlp_only_layers": [0, 2]}, {"decoder_sparse_step": 2}]))
        config |= draw(st.sampled_from([{}, {"moe_intermediate_size": 24}]))
    return config


@pytest.mark.torch
@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_every_tensor_has_the_name_and_shape_of_the_real_class(model_type: str) -> None:
    @QUICK
    @given(config=configs(model_type))
    def check(config: dict[str, Any]) -> None:
        model = real_class(config)
        family = FAMILIES[model_type]
        s = families.sizes(family, config)
        real = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        assert dict(families.tensors(config)) == real
        assert families.count(family, s) == sum(parameter.numel() for parameter in model.parameters())
        assert type(model).__name__ == family.architecture

    check()


@pytest.mark.torch
@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_linears_are_the_linear_modules_of_the_real_class_with_their_counts(model_type: str) -> None:
    import torch
    from transformers.pytorch_utils import Conv1D

    config = base_config(model_type)
    found: dict[tuple[str, int, int], int] = {}
    for name, module in real_class(config).named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            shape = (name.rsplit(".", 1)[-1], module.in_features, module.out_features)
        elif isinstance(module, Conv1D):
            shape = (name.rsplit(".", 1)[-1], *module.weight.shape)
        else:
            continue
        found[shape] = found.get(shape, 0) + 1
    family = FAMILIES[model_type]
    rows = families.linears(family, families.sizes(family, config))
    assert {(row.name, row.inputs, row.outputs): row.count for row in rows if not row.packed} == found


def base_config(model_type: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model_type": model_type, "vocab_size": 97, "hidden_size": 32, "intermediate_size": 56, "n_inner": 56,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    }
    return config | ({"num_local_experts": 4, "mlp_only_layers": [1]} if FAMILIES[model_type].sparse_layer else {})


@pytest.mark.torch
@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_defaults_are_those_of_the_config_class(model_type: str) -> None:
    import transformers

    own = type(transformers.AutoConfig.for_model(model_type))
    stated = {item.name: item.default for item in dataclasses.fields(own)}
    family = FAMILIES[model_type]
    for key, value in family.defaults.items():
        name = family.keys.get(key, (key,))[0]
        if name in stated and name != "n_inner":
            assert stated[name] == value, f"{model_type}.{name}"


@pytest.mark.torch
@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_the_layers_that_see_only_a_window_are_those_of_the_config_class(model_type: str) -> None:
    import transformers

    for extra in ({}, {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2}):
        config = {**base_config(model_type), "num_hidden_layers": 13, **extra}
        stated = {key: value for key, value in config.items() if key != "model_type"}
        kinds = getattr(transformers.AutoConfig.for_model(model_type, **stated), "layer_types", None)
        s = families.sizes(FAMILIES[model_type], config)
        if kinds is not None:
            assert s.sliding_layers == sum(kind == "sliding_attention" for kind in kinds), extra


def test_a_size_that_is_missing_or_absurd_is_refused_by_its_name() -> None:
    good = base_config("llama")
    for key, value in (
        ("hidden_size", None), ("hidden_size", -4), ("num_hidden_layers", True), ("vocab_size", "many"),
        ("num_attention_heads", 1.5), ("vocab_size", 1 << 50),
    ):
        with pytest.raises(BadInput, match=key):
            families.sizes(FAMILIES["llama"], {**good, key: value})
    with pytest.raises(BadInput, match="hidden_size"):
        families.sizes(FAMILIES["llama"], {"model_type": "llama", "num_hidden_layers": 2})
    with pytest.raises(BadInput, match="don't divide"):
        families.sizes(FAMILIES["llama"], {**good, "num_key_value_heads": 3})


@given(config=st.dictionaries(
    st.sampled_from(["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
                     "vocab_size", "layer_types", "sliding_window", "num_experts", "mlp_only_layers", "n_embd"]),
    st.one_of(st.none(), st.booleans(), st.integers(-5, 99), st.floats(), st.text(max_size=5), st.lists(st.integers())),
), model_type=st.sampled_from(sorted(FAMILIES)))
@settings(max_examples=120, deadline=None, database=None)
def test_any_config_is_either_read_or_refused_in_a_sentence(config: dict[str, Any], model_type: str) -> None:
    try:
        s = families.sizes(FAMILIES[model_type], {"model_type": model_type, **config})
    except BadInput:
        return
    assert families.count(FAMILIES[model_type], s) > 0


@pytest.mark.torch
def test_what_gemma_3_has_around_its_language_model_is_counted_apart(tmp_path: Path) -> None:
    import torch
    import transformers

    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 90, "head_dim": 8,
            "num_attention_heads": 4, "num_key_value_heads": 2, "model_type": "gemma3_text"}
    vision = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
              "patch_size": 4, "image_size": 16, "vision_use_head": False, "model_type": "siglip_vision_model"}
    built = transformers.Gemma3Config(text_config={**text, **TOKENS}, vision_config=vision, mm_tokens_per_image=16)
    with torch.device("meta"):
        whole = transformers.Gemma3ForConditionalGeneration(built)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "gemma3", "text_config": text, "vision_config": vision}))
    shape = describe(str(path))
    assert shape.parameters + shape.other_parameters == sum(each.numel() for each in whole.parameters())


def test_gemma_3_4b_with_its_tower_has_the_size_that_the_hub_states() -> None:
    shape = describe("google/gemma-3-4b-it")
    assert shape.parameters + shape.other_parameters == 4_300_079_472
