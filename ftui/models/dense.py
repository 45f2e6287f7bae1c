"""The families whose layers are all alike: attention and one feed-forward part."""

from __future__ import annotations

from typing import Any

from ftui.models import windows
from ftui.models.blocks import HEADS, attention, fused_attention, fused_gated, gated, latent_attention, plain
from ftui.models.family import POST, PRE, SANDWICH, Family, Reader, Sizes, as_many, one_if_shared
from ftui.models.parts import Parts, conv1d, linear, matrix, norm, tensor

GPT_KEYS = {"intermediate_size": ("n_inner",)}
TWO = ("ln_1", "ln_2")


def _llama(model_type: str, title: str, architecture: str, **more: Any) -> Family:
    return Family(model_type, title, architecture, **{"mixer": attention(), "feed": gated(), **more})


def _gpt2(s: Sizes) -> Parts:
    return conv1d("attn.c_attn", s.hidden, 3 * s.hidden), conv1d("attn.c_proj", s.hidden, s.hidden)


def _bigcode(s: Sizes) -> Parts:
    return linear("attn.c_attn", s.hidden, s.hidden + 2 * s.key, True), linear("attn.c_proj", s.hidden, s.hidden, True)


def _xielu(s: Sizes) -> Parts:
    """The two trained numbers of Apertus's activation."""
    if s.read.value("hidden_act") != "xielu":
        return ()
    return tensor("mlp.act_fn.alpha_p", 1), tensor("mlp.act_fn.alpha_n", 1)


def _falcon(s: Sizes) -> Parts:
    bias, path = s.flag("bias"), "self_attention"
    return (
        linear(f"{path}.query_key_value", s.hidden, s.query + 2 * s.key, bias),
        linear(f"{path}.dense", s.hidden, s.hidden, bias),
    )


def _falcon_heads(read: Reader, heads: int) -> int:
    grouped = read.flag("new_decoder_architecture")
    return read.size("num_kv_heads", derived=heads) if grouped else one_if_shared(read, heads)


def _falcon_norms(s: Sizes) -> Parts:
    stated = s.read.value("num_ln_in_parallel_attn")
    two = s.flag("new_decoder_architecture") and stated in (None, 2)
    names = ("ln_attn", "ln_mlp") if two else (
        ("input_layernorm",) if s.flag("parallel_attn") else PRE
    )
    return tuple(norm(name, s.hidden, True) for name in names)


def _stablelm_norms(s: Sizes) -> Parts:
    after = () if s.flag("use_parallel_residual") else (norm("post_attention_layernorm", s.hidden, True),)
    if not s.flag("qk_layernorm"):
        return after
    return (
        *after, *(norm(f"self_attn.q_layernorm.norms.{head}", s.head_dim) for head in range(s.heads)),
        *(norm(f"self_attn.k_layernorm.norms.{head}", s.head_dim) for head in range(s.kv_heads)),
    )


def _phi_norms(s: Sizes) -> Parts:
    names = ("q_layernorm", "k_layernorm") if s.flag("qk_layernorm") else ()
    return tuple(norm(f"self_attn.{name}", s.head_dim, True) for name in names)


def _cohere_norms(s: Sizes) -> Parts:
    """One scale for every head and channel."""
    if not s.flag("use_qk_norm"):
        return ()
    return matrix("self_attn.q_norm", s.heads, s.head_dim), matrix("self_attn.k_norm", s.kv_heads, s.head_dim)


def _opt(s: Sizes) -> Parts:
    bias, path = s.flag("enable_bias"), "self_attn"
    return (
        *(linear(f"{path}.{name}", s.hidden, s.hidden, bias) for name in ("k_proj", "v_proj", "q_proj", "out_proj")),
    )


def _opt_outside(s: Sizes) -> Parts:
    """The projections between a narrower embedding and the layers, and the norm that some models lack."""
    width = s.num("word_embed_proj_dim") or s.hidden
    between = (
        linear("model.decoder.project_out", s.hidden, width), linear("model.decoder.project_in", width, s.hidden)
    ) if width != s.hidden else ()
    last = s.flag("do_layer_norm_before") and not s.flag("_remove_final_layer_norm")
    return (*between, *((norm("model.decoder.final_layer_norm", s.hidden, True),) if last else ()))


def _helium(s: Sizes) -> Parts:
    """The output projection maps the hidden width to itself."""
    query, key, value, _ = attention()(s)
    return query, key, value, linear("self_attn.o_proj", s.hidden, s.hidden)


ROWS = (
    _llama("llama", "Llama", "LlamaForCausalLM"),
    _llama("cwm", "Code World Model", "CwmForCausalLM", mixer=attention(False), bias=False,
           window=windows.cwm),
    _llama("internlm3", "InternLM 3", "LlamaForCausalLM"),
    _llama("iquestcoder", "IQuest Coder", "LlamaForCausalLM"),
    _llama("mistral", "Mistral", "MistralForCausalLM", mixer=attention(False), feed=gated(False), bias=False,
           window=windows.every_layer),
    _llama("ministral", "Ministral", "MinistralForCausalLM", mixer=attention(False), feed=gated(False), bias=False,
           window=windows.listed_or_all),
    _llama("ministral3", "Ministral 3", "Ministral3ForCausalLM", mixer=attention(False), feed=gated(False),
           bias=False, window=windows.every_layer),
    _llama("qwen2", "Qwen2", "Qwen2ForCausalLM", mixer=attention(True, False), feed=gated(False), bias=True,
           window=windows.last_layers),
    _llama("qwen3", "Qwen3", "Qwen3ForCausalLM", mixer=attention(head_norms=HEADS), feed=gated(False), qk_norm=True,
           window=windows.last_layers),
    _llama("gemma", "Gemma", "GemmaForCausalLM", feed=gated(False)),
    _llama("gemma2", "Gemma 2", "Gemma2ForCausalLM", feed=gated(False), norms=SANDWICH, window=windows.alternating),
    _llama("gemma3_text", "Gemma 3", "Gemma3ForCausalLM", mixer=attention(head_norms=HEADS), feed=gated(False),
           norms=SANDWICH, qk_norm=True, window=windows.five_of_six),
    _llama("vaultgemma", "VaultGemma", "VaultGemmaForCausalLM", feed=gated(False),
           norms=("input_layernorm", "pre_feedforward_layernorm"), window=windows.alternating),
    _llama("smollm3", "SmolLM3", "SmolLM3ForCausalLM", window=windows.smollm3),
    _llama("granite", "Granite", "GraniteForCausalLM"),
    _llama("olmo", "OLMo", "OlmoForCausalLM", feed=gated(False), norms=(), norm="layer", final_norm=None),
    _llama("olmo2", "OLMo 2", "Olmo2ForCausalLM", mixer=attention(head_norms=HEADS, wide=True), feed=gated(False),
           norms=POST, qk_norm=True),
    _llama("olmo3", "OLMo 3", "Olmo3ForCausalLM", mixer=attention(head_norms=HEADS, wide=True), feed=gated(False),
           norms=POST, qk_norm=True, window=windows.three_of_four),
    _llama("exaone4", "EXAONE 4", "Exaone4ForCausalLM", mixer=attention(False, head_norms=HEADS), feed=gated(False),
           norms=POST, qk_norm=True, bias=False, window=windows.exaone4),
    _llama("seed_oss", "Seed-OSS", "SeedOssForCausalLM", mixer=attention(out="attention_out_bias")),
    _llama("ernie4_5", "ERNIE 4.5", "Ernie4_5ForCausalLM", mixer=attention("use_bias"), feed=gated("use_bias"),
           bias="use_bias", head_bias=False),
    _llama("hunyuan_v1_dense", "Hunyuan dense", "HunYuanDenseV1ForCausalLM",
           mixer=attention(head_norms=("query_layernorm", "key_layernorm")), feed=gated(False), qk_norm=True),
    _llama("helium", "Helium", "HeliumForCausalLM", mixer=_helium),
    _llama("arcee", "Arcee", "ArceeForCausalLM", feed=plain("mlp.up_proj", "mlp.down_proj", "mlp_bias"),
           gated_mlp=False),
    _llama("apertus", "Apertus", "ApertusForCausalLM", mixer=attention(head_norms=HEADS),
           feed=plain("mlp.up_proj", "mlp.down_proj"), gated_mlp=False, qk_norm=True, more_norms=_xielu,
           norms=("attention_layernorm", "feedforward_layernorm")),
    _llama("nemotron", "Nemotron", "NemotronForCausalLM", feed=plain("mlp.up_proj", "mlp.down_proj", "mlp_bias"),
           gated_mlp=False, norm="layer"),
    _llama("cohere", "Command R", "CohereForCausalLM", feed=gated(False), norms=("input_layernorm",), norm="layer",
           norm_bias=False, more_norms=_cohere_norms, qk_norm="use_qk_norm"),
    _llama("cohere2", "Command R7B", "Cohere2ForCausalLM", feed=gated(False), norms=("input_layernorm",),
           norm="layer", norm_bias=False, window=windows.three_of_four),
    _llama("stablelm", "StableLM", "StableLmForCausalLM", mixer=attention("use_qkv_bias", False), feed=gated(False),
           bias="use_qkv_bias", norms=("input_layernorm",), norm="layer", more_norms=_stablelm_norms,
           own_head_dim=False, qk_norm="qk_layernorm"),
    _llama("starcoder2", "StarCoder2", "Starcoder2ForCausalLM", mixer=attention("use_bias"), bias="use_bias",
           feed=plain("mlp.c_fc", "mlp.c_proj", "use_bias"), gated_mlp=False, norm="layer", own_head_dim=False,
           window=windows.every_layer),
    _llama("phi", "Phi", "PhiForCausalLM", mixer=attention(True, names=("q_proj", "k_proj", "v_proj", "dense")),
           feed=plain("mlp.fc1", "mlp.fc2", True), gated_mlp=False, norm="layer", norms=("input_layernorm",),
           final_norm="model.final_layernorm", head_bias=True, bias=True, more_norms=_phi_norms,
           qk_norm="qk_layernorm"),
    _llama("phi3", "Phi-3", "Phi3ForCausalLM", mixer=fused_attention("self_attn.qkv_proj", "self_attn.o_proj"),
           feed=fused_gated(), bias=False, window=windows.every_layer),
    _llama("glm", "GLM 4", "GlmForCausalLM", mixer=attention(out=False), feed=fused_gated()),
    _llama("glm4", "GLM 4 0414", "Glm4ForCausalLM", mixer=attention(out=False), feed=fused_gated(),
           norms=(*PRE, "post_self_attn_layernorm", "post_mlp_layernorm")),
    _llama("minicpm3", "MiniCPM 3", "MiniCPM3ForCausalLM", mixer=latent_attention, latent=True),
    _llama("youtu", "Youtu", "YoutuForCausalLM", mixer=latent_attention, feed=gated(False), latent=True),
    Family("gpt2", "GPT-2", "GPT2LMHeadModel", _gpt2, plain("mlp.c_fc", "mlp.c_proj", turned=True), norms=TWO,
           keys=GPT_KEYS, embedding="transformer.wte", position_table="transformer.wpe", layers="transformer.h",
           final_norm="transformer.ln_f", norm="layer", gated_mlp=False, bias=True, own_head_dim=False,
           key_heads=as_many),
    Family("gpt_bigcode", "StarCoder", "GPTBigCodeForCausalLM", _bigcode, plain("mlp.c_fc", "mlp.c_proj", True),
           norms=TWO, keys=GPT_KEYS, embedding="transformer.wte", position_table="transformer.wpe",
           layers="transformer.h", final_norm="transformer.ln_f", norm="layer", gated_mlp=False, bias=True,
           own_head_dim=False, key_heads=one_if_shared),
    Family("gpt_neo", "GPT-Neo", "GPTNeoForCausalLM",
           attention(False, True, path="attn.attention", names=("q_proj", "k_proj", "v_proj", "out_proj")),
           plain("mlp.c_fc", "mlp.c_proj", True), norms=TWO, embedding="transformer.wte",
           position_table="transformer.wpe", layers="transformer.h", final_norm="transformer.ln_f", norm="layer",
           gated_mlp=False, bias=False, own_head_dim=False, key_heads=as_many, window=windows.gpt_neo),
    Family("gptj", "GPT-J", "GPTJForCausalLM",
           attention(False, path="attn", names=("q_proj", "k_proj", "v_proj", "out_proj")),
           plain("mlp.fc_in", "mlp.fc_out", True), norms=("ln_1",), keys=GPT_KEYS, embedding="transformer.wte",
           layers="transformer.h", final_norm="transformer.ln_f", norm="layer", gated_mlp=False, bias=False,
           head_bias=True, own_head_dim=False, key_heads=as_many),
    Family("codegen", "CodeGen", "CodeGenForCausalLM", fused_attention("attn.qkv_proj", "attn.out_proj"),
           plain("mlp.fc_in", "mlp.fc_out", True), norms=("ln_1",), keys=GPT_KEYS, embedding="transformer.wte",
           layers="transformer.h", final_norm="transformer.ln_f", norm="layer", gated_mlp=False, bias=False,
           head_bias=True, own_head_dim=False, key_heads=as_many),
    Family("gpt_neox", "GPT-NeoX", "GPTNeoXForCausalLM",
           fused_attention("attention.query_key_value", "attention.dense", "attention_bias"),
           plain("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", True), embedding="gpt_neox.embed_in",
           layers="gpt_neox.layers", final_norm="gpt_neox.final_layer_norm", norm="layer", gated_mlp=False,
           own_head_dim=False, key_heads=as_many),
    Family("bloom", "BLOOM", "BloomForCausalLM",
           fused_attention("self_attention.query_key_value", "self_attention.dense", True),
           plain("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", True), embedding="transformer.word_embeddings",
           keys={"hidden_size": ("n_embed", "hidden_size"), "max_position_embeddings": ("seq_length",)},
           layers="transformer.h", final_norm="transformer.ln_f", norm="layer", gated_mlp=False, bias=True,
           own_head_dim=False, key_heads=as_many,
           outside=lambda s: (norm("transformer.word_embeddings_layernorm", s.hidden, True),)),
    Family("falcon", "Falcon", "FalconForCausalLM", _falcon,
           plain("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", "bias"), embedding="transformer.word_embeddings",
           keys={"hidden_size": ("n_embed", "hidden_size"), "intermediate_size": ("ffn_hidden_size",)},
           key_heads=_falcon_heads, layers="transformer.h", final_norm="transformer.ln_f", norm="layer", norms=(),
           more_norms=_falcon_norms, gated_mlp=False, bias="bias", own_head_dim=False),
    Family("mpt", "MPT", "MptForCausalLM", fused_attention("attn.Wqkv", "attn.out_proj"),
           plain("ffn.up_proj", "ffn.down_proj"), norms=("norm_1", "norm_2"), embedding="transformer.wte",
           layers="transformer.blocks", final_norm="transformer.norm_f", norm="layer", norm_bias=False,
           gated_mlp=False, bias=False, own_head_dim=False, key_heads=as_many,
           keys={"max_position_embeddings": ("max_seq_len",)}, ignored=("intermediate_size",)),
    Family("opt", "OPT", "OPTForCausalLM", _opt, plain("fc1", "fc2", "enable_bias"),
           norms=("self_attn_layer_norm", "final_layer_norm"), keys={"intermediate_size": ("ffn_dim",)},
           embedding="model.decoder.embed_tokens", position_table="model.decoder.embed_positions", extra_positions=2,
           layers="model.decoder.layers", final_norm=None, norm="layer", gated_mlp=False, bias="enable_bias",
           own_head_dim=False, key_heads=as_many, outside=_opt_outside),
)
