"""The rows of `ftui.models.families` against transformers' own classes, built without weights."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.errors import BadInput
from ftui.models import describe, families
from ftui.models.document import Linear
from ftui.models.families import FAMILIES

CLASSES = {name for name, row in FAMILIES.items() if not row.remote_code}
QUICKLY = {"llama", "qwen3", "gemma3_text", "gpt2", "mixtral", "deepseek_v3", "qwen3_5_text", "gemma4_text"}
"""One of each make; importing the classes of all families takes half a minute."""
EACH = [pytest.param(name, marks=[] if name in QUICKLY else pytest.mark.slow) for name in sorted(CLASSES)]

QUICK = settings(
    max_examples=12, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
LATENT = {"q_lora_rank": 9, "kv_lora_rank": 7, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 10}
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 6, "linear_value_head_dim": 10,
         "head_dim": 12}
TOKENS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def real_class(config: dict[str, Any]) -> Any:
    """The transformers model for `config` on the meta device."""
    import torch
    import transformers

    stated = {key: value for key, value in config.items() if key != "model_type"}
    with torch.device("meta"):
        built = transformers.AutoConfig.for_model(config["model_type"], **stated, **TOKENS)
        # Mistral 4 has a class of its own that the causal models' table leaves out.
        if config["model_type"] == "mistral4":
            return transformers.Mistral4ForCausalLM(built)
        return transformers.AutoModelForCausalLM.from_config(built)


OWN: dict[str, list[dict[str, Any]]] = {
    "afmoe": [{"num_experts": 3, "moe_intermediate_size": 24, "num_dense_layers": 2},
              {"num_experts": 4, "moe_intermediate_size": 8, "num_shared_experts": 1, "head_dim": 12}],
    "apertus": [{}, {"hidden_act": "silu"}],
    "bamba": [{"attn_layer_indices": [1], "mamba_n_heads": 2, "mamba_d_head": "auto", "mamba_d_state": 6},
              {"mamba_n_heads": 4, "mamba_d_head": "auto", "mamba_proj_bias": True, "mamba_conv_bias": False}],
    "cohere": [{}, {"use_qk_norm": True}],
    "deepseek_v2": [{"n_routed_experts": 4, "moe_intermediate_size": 24, "n_shared_experts": 2, **LATENT},
                    {"n_routed_experts": 3, "first_k_dense_replace": 2, **LATENT, "q_lora_rank": None}],
    "deepseek_v3": [{"n_routed_experts": 8, "moe_intermediate_size": 24, "n_group": 2, **LATENT},
                    {"n_routed_experts": 4, "first_k_dense_replace": 1, "n_group": 1, **LATENT, "q_lora_rank": None}],
    "dots1": [{"n_routed_experts": 4, "moe_intermediate_size": 24, "n_shared_experts": 1, "first_k_dense_replace": 1}],
    "ernie4_5": [{}, {"use_bias": True}, {"head_dim": 12}],
    "ernie4_5_moe": [{"moe_num_experts": 3, "moe_intermediate_size": 24}, {
        "moe_num_experts": 3, "moe_layer_start_index": 2, "moe_layer_interval": 2, "use_bias": True,
        "moe_num_shared_experts": 0}],
    "exaone4": [{}, {"head_dim": 12}],
    "falcon": [{}, {"multi_query": False, "bias": True}, {"new_decoder_architecture": True, "num_kv_heads": 1},
               {"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1}, {"parallel_attn": False},
               {"ffn_hidden_size": 52}],
    "gemma4_text": [
        {"vocab_size_per_layer_input": 31, "hidden_size_per_layer_input": 6, "global_head_dim": 20, "head_dim": 10},
        {"hidden_size_per_layer_input": 0, "global_head_dim": 20, "head_dim": 10, "num_global_key_value_heads": 1,
         "attention_k_eq_v": True},
        {"hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 3, "top_k_experts": 2,
         "moe_intermediate_size": 12, "head_dim": 10},
        {"vocab_size_per_layer_input": 31, "hidden_size_per_layer_input": 6, "num_hidden_layers": 5,
         "num_kv_shared_layers": 2,
         "use_double_wide_mlp": True, "head_dim": 10, "layer_types": [
             "sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention"]}],
    "glm": [{}, {"head_dim": 12}], "glm4": [{}, {"head_dim": 12}],
    "glm4_moe": [{"n_routed_experts": 4, "moe_intermediate_size": 24, "use_qk_norm": True},
                 {"n_routed_experts": 3, "first_k_dense_replace": 2}],
    "glm4_moe_lite": [{"n_routed_experts": 4, "moe_intermediate_size": 24, **LATENT}],
    "gpt_bigcode": [{}, {"multi_query": False}, {"n_inner": 52}],
    "gpt_neo": [{"num_hidden_layers": 4, "attention_types": [[["global", "local"], 2]]}],
    "gpt_oss": [{"num_local_experts": 3}], "gptj": [{}, {"n_inner": 52}], "codegen": [{}, {"n_inner": 52}],
    "granitemoe": [{"num_local_experts": 3}],
    "granitemoeshared": [{"num_local_experts": 3}, {"num_local_experts": 3, "shared_intermediate_size": 20}],
    "granitemoehybrid": [
        {"num_local_experts": 3, "shared_intermediate_size": 20, "mamba_n_heads": 4, "mamba_d_head": "auto",
         "num_hidden_layers": 4, "layer_types": ["mamba", "attention", "mamba", "mamba"]},
        {"num_local_experts": 0, "shared_intermediate_size": 20, "mamba_n_heads": 4, "mamba_d_head": 16,
         "hidden_size": 32, "mamba_d_state": 6}],
    "helium": [{"head_dim": 8}],
    "hunyuan_v1_dense": [{"head_dim": 12}], "hunyuan_v1_moe": [{"head_dim": 12, "num_experts": 3}],
    "internlm3": [{"head_dim": 8, "attention_bias": True, "mlp_bias": True},
                  {"attention_bias": False, "mlp_bias": False}],
    "kimi_linear": [{"linear_attn_config": {
        "full_attn_layers": [3], "kda_layers": [1, 2], "head_dim": 6, "num_heads": 4, "short_conv_kernel_size": 3,
    }, "num_hidden_layers": 3, "num_experts": 3, "moe_intermediate_size": 24, "first_k_dense_replace": 1, **LATENT}],
    "lfm2": [{"full_attn_idxs": [1]}, {"block_ff_dim": 70, "block_multiple_of": 16},
             {"conv_bias": True, "block_auto_adjust_ff_dim": False, "num_hidden_layers": 2,
              "layer_types": ["conv", "full_attention"]}],
    "lfm2_moe": [{"num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"], "num_experts": 3,
                  "moe_intermediate_size": 24, "num_dense_layers": 1}],
    "llama4_text": [{"num_local_experts": 3, "intermediate_size_mlp": 44, "head_dim": 8},
                    {"num_local_experts": 3, "interleave_moe_layer_step": 2, "head_dim": 8}],
    "minicpm3": [LATENT, {**LATENT, "q_lora_rank": None}], "youtu": [LATENT],
    "minimax_m2": [{"num_local_experts": 3, "head_dim": 8}],
    "ministral": [{"head_dim": 8}], "ministral3": [{"head_dim": 8}],
    "mistral4": [{"n_routed_experts": 4, "moe_intermediate_size": 24, "first_k_dense_replace": 1, **LATENT}],
    "mixtral": [{"num_local_experts": 3}, {"num_experts": 5}],
    "mpt": [{"n_layers": 3}], "nemotron": [{}, {"attention_bias": True, "mlp_bias": True}],
    "nemotron_h": [{"hybrid_override_pattern": "M*-M", "num_hidden_layers": 4, "mamba_num_heads": 4,
                    "mamba_head_dim": 8, "head_dim": 8, "n_groups": 2, "ssm_state_size": 6}],
    "olmoe": [{"num_experts": 3}],
    "opt": [{"ffn_dim": 52}, {"ffn_dim": 52, "word_embed_proj_dim": 12}, {"enable_bias": False},
            {"do_layer_norm_before": False}],
    "phi": [{}, {"qk_layernorm": True}], "phimoe": [{"num_local_experts": 3}, {"num_local_experts": 3,
                                                                             "lm_head_bias": True}],
    "qwen2_moe": [{"num_experts": 3, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 20},
                  {"num_experts": 3, "mlp_only_layers": [1], "decoder_sparse_step": 2, "qkv_bias": False}],
    "qwen3_moe": [{"num_local_experts": 3}, {"num_experts": 5, "mlp_only_layers": [0, 2]},
                  {"num_experts": 5, "decoder_sparse_step": 2, "moe_intermediate_size": 24}],
    "qwen3_next": [{"num_experts": 3, "shared_expert_intermediate_size": 20, "moe_intermediate_size": 24, **DELTA},
                   {"num_experts": 3, "mlp_only_layers": [0], **DELTA, "full_attention_interval": 2}],
    "qwen3_5_text": [DELTA, {**DELTA, "full_attention_interval": 2}],
    "qwen3_5_moe_text": [{"num_experts": 3, "shared_expert_intermediate_size": 20, "moe_intermediate_size": 24,
                          **DELTA}],
    "seed_oss": [{"head_dim": 12}, {"attention_out_bias": True, "mlp_bias": True}],
    "stablelm": [{}, {"qk_layernorm": True, "use_qkv_bias": True}, {"use_parallel_residual": True}],
    "starcoder2": [{}, {"use_bias": False}], "cwm": [{"head_dim": 8}],
    "gpt2": [{}, {"n_inner": None}, {"n_inner": 52}, {"n_positions": 33}],
}
"""What a family's config has of its own, some of it in the ways that published configs have."""

OLDER = {"gpt2", "gpt_bigcode", "gptj", "codegen", "gpt_neo", "gpt_neox", "bloom", "falcon", "mpt", "opt"}
"""Families without grouped heads under the usual key, and with names of their own for the width of the MLP."""


@st.composite
def configs(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    """Random small configs of a family, with and without the keys that may be left out."""
    family = FAMILIES[model_type]
    key_heads = draw(st.sampled_from([1, 2, 3]))
    heads = key_heads * draw(st.sampled_from([1, 2, 4]))
    config: dict[str, Any] = {
        "vocab_size": draw(st.integers(7, 300)), "hidden_size": heads * draw(st.sampled_from([4, 8, 16])),
        "num_hidden_layers": draw(st.integers(1, 7)), "num_attention_heads": heads,
    }
    if model_type not in OLDER:
        may_be_null = family_default(family, "num_key_value_heads") is None and model_type != "nemotron"
        config["num_key_value_heads"] = draw(st.sampled_from([key_heads, None] if may_be_null else [key_heads]))
        config |= draw(st.sampled_from([{}, {"intermediate_size": 56}]))
    if model_type not in ("mpt", "gpt_neo"):
        config |= draw(st.sampled_from([{}, {"tie_word_embeddings": True}, {"tie_word_embeddings": False}]))
    config |= draw(st.sampled_from([{}, {"attention_bias": True}, {"attention_bias": False}]))
    config |= draw(st.sampled_from([{}, {"mlp_bias": True}]))
    if model_type in ("llama", "mistral", "mixtral", "qwen3", "gemma", "gemma2", "gemma3_text"):
        config |= draw(st.sampled_from([{}, {"head_dim": 12}]))
    config |= draw(st.sampled_from(OWN.get(model_type, [{}])))
    renamed = families.Reader(family, {}).names
    return {"model_type": model_type, **{renamed.get(key, key): value for key, value in config.items()}}


def family_default(family: Any, key: str) -> Any:
    return families.Reader(family, {}).value(key)


@pytest.mark.torch
@pytest.mark.parametrize("model_type", EACH)
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
@pytest.mark.parametrize("model_type", EACH)
def test_linears_and_blocks_are_the_linear_modules_of_the_real_class_with_their_counts(model_type: str) -> None:
    import torch
    from transformers.pytorch_utils import Conv1D

    for own in OWN.get(model_type, [{}]):
        config = base_config(model_type, own)
        found: dict[tuple[str, int, int], int] = {}
        for name, module in real_class(config).named_modules():
            if isinstance(module, torch.nn.Linear) and re.search(r"\.\d+\.", name):
                shape = (name.rsplit(".", 1)[-1], module.in_features, module.out_features)
            elif isinstance(module, Conv1D):
                shape = (name.rsplit(".", 1)[-1], *module.weight.shape)
            else:
                continue
            found[shape] = found.get(shape, 0) + 1
        family = FAMILIES[model_type]
        s = families.sizes(family, config)
        assert summed(families.linears(family, s)) == found
        blocks = families.blocks(family, s)
        assert summed(row for block in blocks for row in block.linears) == found
        assert sum(block.count for block in blocks) == s.layers
        beside = sum(part.elements for part in families.outside(family, s))
        assert families.count(family, s) == beside + sum(block.count * block.parameters for block in blocks)


def summed(rows: Iterable[Linear]) -> dict[tuple[str, int, int], int]:
    """How many modules there are of each name and shape; packed experts are no modules."""
    found: dict[tuple[str, int, int], int] = {}
    for row in rows:
        if not row.packed:
            key = (row.name, row.inputs, row.outputs)
            found[key] = found.get(key, 0) + row.count
    return found


def base_config(model_type: str, own: dict[str, Any] | None = None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 56,
    }
    if model_type in OLDER:
        del config["num_key_value_heads"], config["intermediate_size"]
    config |= own or {}
    renamed = families.Reader(FAMILIES[model_type], {}).names
    return {"model_type": model_type, **{renamed.get(key, key): value for key, value in config.items()}}


@pytest.mark.torch
@pytest.mark.slow
def test_the_defaults_are_those_of_the_installed_config_classes() -> None:
    path = Path(__file__).resolve().parents[2] / "tools" / "model_defaults.py"
    spec = importlib.util.spec_from_file_location("model_defaults", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.TARGET.read_text(encoding="utf-8") == tool.text(), "run: python tools/model_defaults.py"


@pytest.mark.torch
@pytest.mark.parametrize("model_type", EACH)
def test_the_layers_that_see_only_a_window_are_those_of_the_config_class(model_type: str) -> None:
    import transformers

    switched = {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2}
    known = "use_sliding_window" in families.Reader(FAMILIES[model_type], {}).defaults
    for extra in ({}, switched) if known else ({},):
        own = OWN.get(model_type, [{}])[0]
        layers = {} if "num_hidden_layers" in own else {"num_hidden_layers": 13}
        config = base_config(model_type, {**own, **extra, **layers})
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
), model_type=st.sampled_from(sorted(CLASSES)))
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


@pytest.mark.parametrize(("config", "published"), [
    ({"model_type": "qwen", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
      "intermediate_size": 22016, "vocab_size": 151936}, 7_721_324_544),
    ({"model_type": "qwen", "hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40,
      "intermediate_size": 27392, "vocab_size": 152064}, 14_167_290_880),
    ({"model_type": "chatglm", "hidden_size": 4096, "num_layers": 28, "num_attention_heads": 32, "kv_channels": 128,
      "ffn_hidden_size": 13696, "padded_vocab_size": 65024, "multi_query_group_num": 2}, 6_243_584_000),
    ({"model_type": "baichuan", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
      "intermediate_size": 11008, "vocab_size": 125696}, 7_505_973_248),
    ({"model_type": "internlm2", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 92544}, 7_737_708_544),
    ({"model_type": "Yi", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 4, "intermediate_size": 11008, "vocab_size": 64000}, 6_061_035_520),
])
def test_models_with_code_of_their_own_have_the_size_that_the_hub_states(
    config: dict[str, Any], published: int, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    shape = describe(str(path))
    assert (shape.parameters, shape.exact) == (published, True)
    assert shape.remote_code == (config["model_type"] != "Yi")


def test_the_first_chatglm_is_another_model(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({
        "model_type": "chatglm", "hidden_size": 4096, "inner_hidden_size": 16384, "num_layers": 28,
        "num_attention_heads": 32, "vocab_size": 130528,
    }))
    assert not describe(str(path)).exact


def test_a_mixture_with_latent_attention_says_all_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({
        "model_type": "deepseek_v3", "vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 5,
        "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 56, "moe_intermediate_size": 24,
        "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 2, "first_k_dense_replace": 2, **LATENT,
    }))
    shape = describe(str(path))
    assert (shape.q_lora_rank, shape.kv_lora_rank, shape.v_head_dim, shape.head_dim) == (9, 7, 10, 10)
    assert (shape.experts, shape.experts_per_token, shape.shared_expert_intermediate) == (8, 2, 48)
    assert (shape.dense_layers, shape.layer_kinds) == (2, (("full", 5),))
    assert [(block.sparse, block.count) for block in shape.blocks] == [(False, 2), (True, 3)]


def test_a_hybrid_says_how_its_layers_mix_tokens(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({
        "model_type": "qwen3_5_text", "vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 8,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 56, **DELTA,
    }))
    shape = describe(str(path))
    assert dict(shape.layer_kinds) == {"linear": 6, "full": 2}
    assert {block.mixer: block.count for block in shape.blocks} == {"linear": 6, "full": 2}
