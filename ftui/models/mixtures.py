"""The families with mixtures of experts in some or all of their layers, all of them attending alike."""

from __future__ import annotations

from ftui.models import windows
from ftui.models.blocks import HEADS, attention, gated, latent_attention, mixture, shared_experts, three
from ftui.models.family import PRE, Family, Sizes, Sparse
from ftui.models.parts import Parts, linear, tensor


def after_the_first(key: str) -> Sparse:
    """The first layers, as many as the config says under `key`, are dense."""

    def rule(s: Sizes) -> tuple[bool, ...]:
        return tuple(s.experts > 0 and index >= s.num(key) for index in range(s.layers))

    return rule


def by_step(s: Sizes) -> tuple[bool, ...]:
    """Qwen: every n-th layer, but for those that are named dense."""
    dense, step = s.read.listed("mlp_only_layers") or (), s.num("decoder_sparse_step") or 1
    return tuple(s.experts > 0 and index not in dense and (index + 1) % step == 0 for index in range(s.layers))


def by_list(s: Sizes) -> tuple[bool, ...]:
    """The config's own list of layer types; without one all but the first are mixtures."""
    kinds = s.read.listed("mlp_layer_types")
    if kinds is None:
        first = s.num("first_k_dense_replace") or 1
        return tuple(s.experts > 0 and index >= first for index in range(s.layers))
    return tuple(s.experts > 0 and kind == "sparse" for kind in kinds)


def _between(s: Sizes) -> tuple[bool, ...]:
    """ERNIE: every n-th layer from the first index to the last."""
    last = s.read.value("moe_layer_end_index")
    last = s.layers - 1 if not isinstance(last, int) or last == -1 else last
    start, step = s.num("moe_layer_start_index"), s.num("moe_layer_interval") or 1
    return tuple((index + 1) % step == 0 and start <= index <= last for index in range(s.layers))


def _llama4_sparse(s: Sizes) -> tuple[bool, ...]:
    named = s.read.listed("moe_layers")
    step = s.num("interleave_moe_layer_step") or 1
    return tuple(index in named if named is not None else (index + 1) % step == 0 for index in range(s.layers))


def qwen_shared(s: Sizes) -> Parts:
    """Qwen's shared expert, with a gate that says how much of it a token takes."""
    width = s.num("shared_expert_intermediate_size")
    return (*three(s, "mlp.shared_expert", width), linear("mlp.shared_expert_gate", s.hidden, 1))


def granite_shared(s: Sizes) -> Parts:
    """Granite's shared expert, gate and up in one."""
    width = s.num("shared_intermediate_size")
    if not width:
        return ()
    return linear("shared_mlp.input_linear", s.hidden, 2 * width), linear("shared_mlp.output_linear", width, s.hidden)


GRANITE = mixture(path="block_sparse_moe", router="router")


def granite_mixture(s: Sizes) -> Parts:
    return GRANITE(s) + granite_shared(s)


def _hunyuan_shared(s: Sizes) -> Parts:
    number = s.read.value("num_shared_expert")
    return three(s, "mlp.shared_mlp", s.intermediate * (number if isinstance(number, int) else 1))


def _afmoe_attention(s: Sizes) -> Parts:
    return (*attention(head_norms=HEADS)(s), linear("self_attn.gate_proj", s.hidden, s.query))


def _llama4_feed(s: Sizes) -> Parts:
    return three(s, "feed_forward", s.num("intermediate_size_mlp"))


def _sinks(s: Sizes) -> Parts:
    return (*attention()(s), tensor("self_attn.sinks", s.heads))


ROWS = (
    Family("mixtral", "Mixtral", "MixtralForCausalLM", attention(False), gated(False), mixture=mixture(),
           keys={"num_experts": ("num_local_experts", "num_experts")}, bias=False, window=windows.every_layer),
    Family("qwen2_moe", "Qwen2 MoE", "Qwen2MoeForCausalLM", attention("qkv_bias", False), gated(False),
           mixture=mixture(shared=qwen_shared), sparse=by_step, bias="qkv_bias",
           window=windows.every_second_below),
    Family("qwen3_moe", "Qwen3 MoE", "Qwen3MoeForCausalLM", attention(head_norms=HEADS), gated(False),
           mixture=mixture(), sparse=by_step, qk_norm=True, window=windows.switched,
           keys={"num_experts": ("num_local_experts", "num_experts")}),
    Family("olmoe", "OLMoE", "OlmoeForCausalLM", attention(head_norms=HEADS, wide=True), gated(False),
           mixture=mixture(), qk_norm=True),
    Family("deepseek_v2", "DeepSeek V2", "DeepseekV2ForCausalLM", latent_attention, gated("mlp_bias"), latent=True,
           mixture=mixture(shared=shared_experts("n_shared_experts", "mlp_bias")),
           sparse=after_the_first("first_k_dense_replace"), keys={"num_experts": ("n_routed_experts",)}),
    Family("deepseek_v3", "DeepSeek V3", "DeepseekV3ForCausalLM", latent_attention, gated(False), latent=True,
           mixture=mixture(shared=shared_experts("n_shared_experts")), sparse=after_the_first("first_k_dense_replace"),
           keys={"num_experts": ("n_routed_experts",)}),
    Family("mistral4", "Mistral 4", "Mistral4ForCausalLM", latent_attention, gated(False), latent=True,
           mixture=mixture(shared=shared_experts("n_shared_experts")), sparse=after_the_first("first_k_dense_replace"),
           keys={"num_experts": ("n_routed_experts",)}),
    Family("glm4_moe", "GLM 4.5", "Glm4MoeForCausalLM",
           attention(out=False, head_norms=HEADS, norm_switch="use_qk_norm"), gated(False),
           mixture=mixture(shared=shared_experts("n_shared_experts")), sparse=after_the_first("first_k_dense_replace"),
           keys={"num_experts": ("n_routed_experts",)}, qk_norm="use_qk_norm"),
    Family("glm4_moe_lite", "GLM 4.7 Flash", "Glm4MoeLiteForCausalLM", latent_attention, gated(False), latent=True,
           mixture=mixture(shared=shared_experts("n_shared_experts")), sparse=by_list,
           keys={"num_experts": ("n_routed_experts",)}),
    Family("dots1", "dots.llm1", "Dots1ForCausalLM", attention(head_norms=HEADS), gated(False),
           mixture=mixture(shared=shared_experts("n_shared_experts")), sparse=after_the_first("first_k_dense_replace"),
           keys={"num_experts": ("n_routed_experts",)}, qk_norm=True, window=windows.listed_only),
    Family("gpt_oss", "GPT-OSS", "GptOssForCausalLM", _sinks, gated(False),
           mixture=mixture(router="router", turned=True, bias=True,
                           more=lambda s: (tensor("mlp.router.bias", s.experts),)),
           keys={"num_experts": ("num_local_experts",)}, window=windows.alternating),
    Family("granitemoe", "Granite MoE", "GraniteMoeForCausalLM", attention(), gated(False),
           mixture=GRANITE, keys={"num_experts": ("num_local_experts",)}),
    Family("granitemoeshared", "Granite MoE shared", "GraniteMoeSharedForCausalLM", attention(), gated(False),
           mixture=granite_mixture, keys={"num_experts": ("num_local_experts",)}),
    Family("ernie4_5_moe", "ERNIE 4.5 MoE", "Ernie4_5_MoeForCausalLM", attention("use_bias"), gated("use_bias"),
           mixture=mixture(shared=shared_experts("moe_num_shared_experts", "use_bias"),
                           more=lambda s: (tensor("mlp.gate.moe_statics.e_score_correction_bias", 1, s.experts),)),
           sparse=_between, keys={"num_experts": ("moe_num_experts",), "num_experts_per_tok": ("moe_k",)},
           bias="use_bias", head_bias="use_bias"),
    Family("hunyuan_v1_moe", "Hunyuan MoE", "HunYuanMoEV1ForCausalLM",
           attention(head_norms=("query_layernorm", "key_layernorm")), gated(False),
           mixture=mixture(router="gate.wg", module=True, shared=_hunyuan_shared), qk_norm=True,
           keys={"num_experts_per_tok": ("moe_topk",)}, ignored=("moe_intermediate_size",)),
    Family("llama4_text", "Llama 4", "Llama4ForCausalLM", attention(), _llama4_feed, sparse=_llama4_sparse,
           mixture=mixture(path="feed_forward", router="router", module=True, turned=True,
                           shared=lambda s: three(s, "feed_forward.shared_expert", s.intermediate)),
           keys={"num_experts": ("num_local_experts",)}, ignored=("moe_intermediate_size",)),
    Family("phimoe", "Phi-3.5 MoE", "PhimoeForCausalLM", attention(), gated(False), norm="layer", norm_bias=True,
           mixture=mixture(router="router", module=True), head_bias="lm_head_bias",
           keys={"num_experts": ("num_local_experts",)}, window=windows.every_layer),
    Family("minimax_m2", "MiniMax M2", "MiniMaxM2ForCausalLM", attention(False, head_norms=HEADS, wide=True),
           gated(False), mixture=mixture(), bias=False, qk_norm=True, keys={"num_experts": ("num_local_experts",)}),
    Family("afmoe", "Trinity", "AfmoeForCausalLM", _afmoe_attention, gated(False),
           mixture=mixture(router="router.gate", module=True, shared=shared_experts("num_shared_experts"),
                           more=lambda s: (tensor("mlp.expert_bias", s.experts),)),
           sparse=after_the_first("num_dense_layers"), norms=(*PRE, "pre_mlp_layernorm", "post_mlp_layernorm"),
           qk_norm=True, window=windows.three_of_four),
)
