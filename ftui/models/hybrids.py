"""The families whose layers mix tokens in several ways: linear attention, convolutions and state spaces in between."""

from __future__ import annotations

from ftui.models import windows
from ftui.models.blocks import (
    HEADS,
    attention,
    delta_attention,
    gated,
    kimi_delta,
    latent_attention,
    mamba,
    mixture,
    plain,
    shared_experts,
    short_convolution,
    three,
)
from ftui.models.family import SANDWICH, Build, Family, Sizes, no_parts
from ftui.models.mixtures import after_the_first, by_list, by_step, granite_mixture, granite_shared, qwen_shared
from ftui.models.parts import Part, Parts, linear, matrix, norm, packed, tensor

NAMES = {
    "full_attention": "full", "attention": "full", "sliding_attention": "sliding", "linear_attention": "linear",
    "mamba": "mamba", "conv": "conv", "mlp": "mlp", "moe": "moe",
}
"""What configs call a layer's mixer -> what `Sizes.mixers` calls it."""


def _listed(s: Sizes, key: str = "layer_types", **meant: str) -> tuple[str, ...] | None:
    kinds = s.read.listed(key)
    if kinds is None:
        return None
    names = {**NAMES, **meant}
    return tuple(names.get(str(kind), str(kind)) for kind in kinds)


def every_fourth(s: Sizes) -> tuple[str, ...]:
    """Qwen: every fourth layer attends in full, the others linearly."""
    step = s.read.size("full_attention_interval", derived=4)
    return _listed(s) or tuple("linear" if (index + 1) % step else "full" for index in range(s.layers))


def _lfm2(s: Sizes) -> tuple[str, ...]:
    named = s.read.listed("full_attn_idxs")
    return _listed(s) or tuple("full" if named is None or index in named else "conv" for index in range(s.layers))


def _lfm2_feed(s: Sizes) -> Parts:
    width = s.read.size("block_ff_dim", derived=s.intermediate)
    if s.flag("block_auto_adjust_ff_dim"):
        width = int(2 * width / 3)
        factor = s.read.value("block_ffn_dim_multiplier")
        if isinstance(factor, int | float):
            unit = s.num("block_multiple_of") or 1
            width = -(-int(factor * width) // unit) * unit
    return three(s, "feed_forward", width, names=("w1", "w3", "w2"))


LFM2_ATTENTION = attention(
    False, names=("q_proj", "k_proj", "v_proj", "out_proj"), head_norms=("q_layernorm", "k_layernorm")
)


def _granite(s: Sizes) -> tuple[str, ...]:
    return _listed(s, linear_attention="mamba") or _listed(s, "layers_block_type") or ("mamba",) * s.layers


def _kimi(s: Sizes) -> tuple[str, ...]:
    stated = s.read.value("linear_attn_config")
    full = stated.get("full_attn_layers") if isinstance(stated, dict) else None
    listed = _listed(s)
    if listed is None and isinstance(full, list):  # counted from one
        return tuple("full" if index + 1 in full else "linear" for index in range(s.layers))
    return listed or ("linear",) * s.layers


def _nemotron(s: Sizes) -> tuple[str, ...]:
    pattern = s.read.value("hybrid_override_pattern")
    if isinstance(pattern, str):
        return tuple({"M": "mamba", "*": "full", "-": "mlp", "E": "moe"}.get(letter, "full") for letter in pattern)
    return _listed(s, "layers_block_type", linear_attention="mamba") or ("full",) * s.layers


def _gemma4(s: Sizes) -> tuple[str, ...]:
    """Five windowed layers and a full one in turn; the last layers take keys and values over from earlier ones."""
    kinds = list(_listed(s) or ("sliding" if (index + 1) % 6 else "full" for index in range(s.layers)))
    kinds[-1] = "full"
    first = s.layers - s.num("num_kv_shared_layers")
    return tuple(kind if index < first else f"{kind} reusing" for index, kind in enumerate(kinds))


def _gemma4_attention(*, full: bool, reusing: bool) -> Build:
    def build(s: Sizes) -> Parts:
        size = s.read.size("global_head_dim", derived=512) if full else s.head_dim
        same = full and s.flag("attention_k_eq_v")
        heads = s.read.size("num_global_key_value_heads", derived=s.kv_heads) if same else s.kv_heads
        bias, path = s.flag("attention_bias"), "self_attn"
        own: list[Part] = [linear(f"{path}.q_proj", s.hidden, s.heads * size, bias), norm(f"{path}.q_norm", size)]
        if not reusing:
            own += [norm(f"{path}.k_norm", size), linear(f"{path}.k_proj", s.hidden, heads * size, bias)]
            own += [] if same else [linear(f"{path}.v_proj", s.hidden, heads * size, bias)]
        own.append(linear(f"{path}.o_proj", s.heads * size, s.hidden, bias))
        wide = 2 if reusing and s.flag("use_double_wide_mlp") else 1
        return (*own, *three(s, "mlp", wide * s.intermediate))

    return build


def _gemma4_more(s: Sizes) -> Parts:
    """The input that each layer gets besides, and the experts beside the plain feed-forward part."""
    found: list[Part] = []
    if width := s.num("hidden_size_per_layer_input"):
        found += [
            linear("per_layer_input_gate", s.hidden, width), linear("per_layer_projection", width, s.hidden),
            norm("post_per_layer_input_norm", s.hidden),
        ]
    if s.experts:
        found += [
            linear("router.proj", s.hidden, s.experts), tensor("router.scale", s.hidden),
            tensor("router.per_expert_scale", s.experts),
            packed("experts.gate_up_proj", s.experts, s.hidden, 2 * s.expert_intermediate),
            packed("experts.down_proj", s.experts, s.expert_intermediate, s.hidden),
            norm("post_feedforward_layernorm_1", s.hidden), norm("post_feedforward_layernorm_2", s.hidden),
            norm("pre_feedforward_layernorm_2", s.hidden),
        ]
    return tuple(found)


def _gemma4_outside(s: Sizes) -> Parts:
    width = s.num("hidden_size_per_layer_input")
    if not width:
        return ()
    return (
        matrix("model.embed_tokens_per_layer", s.num("vocab_size_per_layer_input"), s.layers * width),
        linear("model.per_layer_model_projection", s.hidden, s.layers * width),
        norm("model.per_layer_projection_norm", width),
    )


ROWS = (
    Family("qwen3_next", "Qwen3 Next", "Qwen3NextForCausalLM", attention(head_norms=HEADS, gate=True), gated(False),
           mixers={"linear": delta_attention(split=False)}, kinds=every_fourth,
           mixture=mixture(shared=qwen_shared), sparse=by_step, qk_norm=True),
    Family("qwen3_5_text", "Qwen3.5", "Qwen3_5ForCausalLM", attention(head_norms=HEADS, gate=True), gated(False),
           mixers={"linear": delta_attention(split=True)}, kinds=every_fourth, qk_norm=True),
    Family("qwen3_5_moe_text", "Qwen3.5 MoE", "Qwen3_5MoeForCausalLM", attention(head_norms=HEADS, gate=True),
           gated(False), mixers={"linear": delta_attention(split=True)}, kinds=every_fourth,
           mixture=mixture(shared=qwen_shared), qk_norm=True),
    Family("lfm2", "LFM2", "Lfm2ForCausalLM", LFM2_ATTENTION, _lfm2_feed, mixers={"conv": short_convolution},
           kinds=_lfm2, norms=("operator_norm", "ffn_norm"), final_norm="model.embedding_norm", bias=False,
           qk_norm=True, keys={"tie_word_embeddings": ("tie_embedding", "tie_word_embeddings")}),
    Family("lfm2_moe", "LFM2 MoE", "Lfm2MoeForCausalLM", LFM2_ATTENTION,
           gated(False, path="feed_forward", names=("w1", "w3", "w2")), mixers={"conv": short_convolution},
           kinds=_lfm2, mixture=mixture(path="feed_forward"), sparse=after_the_first("num_dense_layers"),
           norms=("operator_norm", "ffn_norm"), final_norm="model.embedding_norm", bias=False, qk_norm=True,
           keys={"tie_word_embeddings": ("tie_embedding", "tie_word_embeddings")}),
    Family("granitemoehybrid", "Granite 4", "GraniteMoeHybridForCausalLM", attention(), granite_shared,
           mixers={"mamba": mamba("mamba", heads="mamba_n_heads", size="mamba_d_head", groups="mamba_n_groups",
                                  state="mamba_d_state", kernel="mamba_d_conv", bias="mamba_proj_bias",
                                  conv="mamba_conv_bias")},
           kinds=_granite, mixture=granite_mixture, keys={"num_experts": ("num_local_experts",)}),
    Family("kimi_linear", "Kimi Linear", "KimiLinearForCausalLM", latent_attention, gated(False), latent=True,
           mixers={"linear": kimi_delta}, kinds=_kimi, mixture=mixture(shared=shared_experts("num_shared_experts")),
           sparse=by_list, ignored=("tie_word_embeddings",)),
    Family("nemotron_h", "Nemotron H", "NemotronHForCausalLM",
           attention(False, path="mixer"), no_parts,
           mixers={"mamba": mamba("mixer", heads="mamba_num_heads", size="mamba_head_dim", groups="n_groups",
                                  state="ssm_state_size", kernel="conv_kernel", bias="use_bias",
                                  conv="use_conv_bias"),
                   "mlp": plain("mixer.up_proj", "mixer.down_proj", "mlp_bias")},
           kinds=_nemotron, ignored=("tie_word_embeddings",), norms=("norm",),
           embedding="model.embeddings", final_norm="model.norm_f",
           gated_mlp=False, bias=False),
    Family("bamba", "Bamba", "BambaForCausalLM", attention(), gated("mlp_bias", path="feed_forward"),
           mixers={"mamba": mamba("mamba", heads="mamba_n_heads", size="mamba_d_head", groups="mamba_n_groups",
                                  state="mamba_d_state", kernel="mamba_d_conv", bias="mamba_proj_bias",
                                  conv="mamba_conv_bias")},
           kinds=lambda s: tuple(
               "full" if index in (s.read.listed("attn_layer_indices") or ()) else "mamba" for index in range(s.layers)
           ), norms=("input_layernorm", "pre_ff_layernorm"), final_norm="model.final_layernorm"),
    Family("gemma4_text", "Gemma 4", "Gemma4ForCausalLM", attention(), no_parts,
           mixers={f"{name}{' reusing' if reusing else ''}": _gemma4_attention(full=name == "full", reusing=reusing)
                   for name in ("full", "sliding") for reusing in (False, True)},
           kinds=_gemma4, mixture=no_parts, norms=SANDWICH, more_norms=_gemma4_more, outside=_gemma4_outside,
           qk_norm=True, window=windows.gemma4, keys={"num_experts_per_tok": ("top_k_experts",)}),
)
