"""The model families whose exact tensors ftui knows: one row each, how to read its config and what a layer holds.

Names, shapes and the defaults of keys that config.json may leave out are those of transformers' own classes
(`<Family>ForCausalLM`); tests build each class on the meta device and compare every tensor.  To add a family, write
what its decoder layer holds in forward order and a `Family` row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ftui.errors import BadInput
from ftui.models import windows
from ftui.models.document import Linear
from ftui.models.parts import (
    Part,
    Sizes,
    attention,
    conv1d,
    gated,
    head_norms,
    linear,
    matrix,
    mixture,
    norm,
    norms,
    wide_norms,
)

Config = Mapping[str, Any]


PRE = ("input_layernorm", "post_attention_layernorm")
SANDWICH = (*PRE, "pre_feedforward_layernorm", "post_feedforward_layernorm")
POST = ("post_attention_layernorm", "post_feedforward_layernorm")


def llama_layer(s: Sizes) -> tuple[Part, ...]:
    return attention(s, qkv_bias=s.attention_bias, out_bias=s.attention_bias) + gated(s) + norms(s, *PRE)


def plain_layer(s: Sizes) -> tuple[Part, ...]:
    return attention(s) + gated(s) + norms(s, *PRE)


def qwen2_layer(s: Sizes) -> tuple[Part, ...]:
    return attention(s, qkv_bias=True) + gated(s) + norms(s, *PRE)


def qwen3_layer(s: Sizes) -> tuple[Part, ...]:
    return llama_layer(s) + head_norms(s)


def qwen3_moe_layer(s: Sizes) -> tuple[Part, ...]:
    own = attention(s, qkv_bias=s.attention_bias, out_bias=s.attention_bias)
    return own + mixture(s) + norms(s, *PRE) + head_norms(s)


def gemma2_layer(s: Sizes) -> tuple[Part, ...]:
    return attention(s, qkv_bias=s.attention_bias, out_bias=s.attention_bias) + gated(s) + norms(s, *SANDWICH)


def gemma3_layer(s: Sizes) -> tuple[Part, ...]:
    return gemma2_layer(s) + head_norms(s)


def phi3_layer(s: Sizes) -> tuple[Part, ...]:
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    return (
        linear("self_attn.qkv_proj", s.hidden, q + 2 * kv),
        linear("self_attn.o_proj", q, s.hidden),
        linear("mlp.gate_up_proj", s.hidden, 2 * s.intermediate),
        linear("mlp.down_proj", s.intermediate, s.hidden),
        *norms(s, *PRE),
    )


def mixtral_layer(s: Sizes) -> tuple[Part, ...]:
    return attention(s) + mixture(s) + norms(s, *PRE)


def gpt2_layer(s: Sizes) -> tuple[Part, ...]:
    return (
        conv1d("attn.c_attn", s.hidden, 3 * s.hidden),
        conv1d("attn.c_proj", s.hidden, s.hidden),
        conv1d("mlp.c_fc", s.hidden, s.intermediate),
        conv1d("mlp.c_proj", s.intermediate, s.hidden),
        *norms(s, "ln_1", "ln_2", bias=True),
    )


def gpt_neox_layer(s: Sizes) -> tuple[Part, ...]:
    return (
        linear("attention.query_key_value", s.hidden, 3 * s.hidden, s.attention_bias),
        linear("attention.dense", s.hidden, s.hidden, s.attention_bias),
        linear("mlp.dense_h_to_4h", s.hidden, s.intermediate, True),
        linear("mlp.dense_4h_to_h", s.intermediate, s.hidden, True),
        *norms(s, *PRE, bias=True),
    )


def olmo_layer(s: Sizes) -> tuple[Part, ...]:
    return attention(s, qkv_bias=s.attention_bias, out_bias=s.attention_bias) + gated(s)


def olmo2_layer(s: Sizes) -> tuple[Part, ...]:
    return olmo_layer(s) + wide_norms(s) + norms(s, *POST)


@dataclass(frozen=True)
class Family:
    """One row: everything that differs between families.

    `defaults` are the values of transformers' config class for keys that config.json may leave out (None: derived,
    such as head_dim = hidden / heads); a switch that isn't among them doesn't exist for the family.  `layer` gives one
    decoder layer's parts in forward order; `sparse_layer` those of a mixture-of-experts layer.  `keys` gives the names
    under which a size may stand, where they are not the usual one.
    """

    model_type: str
    title: str
    architecture: str
    layer: Callable[[Sizes], tuple[Part, ...]]
    defaults: Config
    sparse_layer: Callable[[Sizes], tuple[Part, ...]] | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embedding: str = "model.embed_tokens"
    position_table: str | None = None
    layers: str = "model.layers"
    final_norm: str | None = "model.norm"
    norm: Literal["rms", "layer"] = "rms"
    norms_per_layer: int = 2
    gated_mlp: bool = True
    qk_norm: bool = False
    always_biased: bool = False
    """Query, key and value carry a bias whatever the config says."""
    own_head_dim: bool = True
    """config.json may state a head_dim of its own."""
    window: Callable[[Config, int], windows.Window] = windows.none


def _defaults(vocab: int, intermediate: int, heads: int, kv: int | None, context: int, **more: Any) -> Config:
    return {
        "vocab_size": vocab, "intermediate_size": intermediate, "num_attention_heads": heads,
        "num_key_value_heads": kv, "max_position_embeddings": context, "head_dim": None,
        "tie_word_embeddings": False, **more,
    }


BIASES = {"attention_bias": False, "mlp_bias": False}

ROWS = (
    Family("llama", "Llama", "LlamaForCausalLM", llama_layer, _defaults(32000, 11008, 32, None, 2048, **BIASES)),
    Family(
        "mistral", "Mistral", "MistralForCausalLM", plain_layer,
        _defaults(32000, 14336, 32, 8, 131072, sliding_window=4096), window=windows.every_layer,
    ),
    Family(
        "qwen2", "Qwen2", "Qwen2ForCausalLM", qwen2_layer,
        _defaults(151936, 22016, 32, 32, 32768, sliding_window=4096, max_window_layers=28),
        always_biased=True, window=windows.last_layers,
    ),
    Family(
        "qwen3", "Qwen3", "Qwen3ForCausalLM", qwen3_layer,
        _defaults(
            151936, 22016, 32, 32, 32768, head_dim=128, sliding_window=4096, max_window_layers=28,
            attention_bias=False,
        ),
        qk_norm=True, window=windows.last_layers,
    ),
    Family(
        "qwen3_moe", "Qwen3 MoE", "Qwen3MoeForCausalLM", qwen3_layer,
        _defaults(
            151936, 6144, 32, 4, 32768, sliding_window=4096, num_experts=128, num_experts_per_tok=8,
            moe_intermediate_size=768, decoder_sparse_step=1, attention_bias=False,
        ),
        sparse_layer=qwen3_moe_layer, keys={"num_experts": ("num_local_experts", "num_experts")},
        qk_norm=True, window=windows.switched,
    ),
    Family(
        "gemma", "Gemma", "GemmaForCausalLM", llama_layer,
        _defaults(256000, 24576, 16, 16, 8192, head_dim=256, tie_word_embeddings=True, attention_bias=False),
    ),
    Family(
        "gemma2", "Gemma 2", "Gemma2ForCausalLM", gemma2_layer,
        _defaults(
            256000, 9216, 8, 4, 8192, head_dim=256, tie_word_embeddings=True, sliding_window=4096,
            attn_logit_softcapping=50.0, final_logit_softcapping=30.0, attention_bias=False,
        ),
        norms_per_layer=4, window=windows.alternating,
    ),
    Family(
        "gemma3_text", "Gemma 3", "Gemma3ForCausalLM", gemma3_layer,
        _defaults(
            262208, 9216, 8, 4, 131072, head_dim=256, tie_word_embeddings=True, sliding_window=4096,
            attention_bias=False,
        ),
        norms_per_layer=4, qk_norm=True, window=windows.five_of_six,
    ),
    Family(
        "phi3", "Phi-3", "Phi3ForCausalLM", phi3_layer, _defaults(32064, 8192, 32, None, 4096),
        window=windows.every_layer,
    ),
    Family(
        "gpt2", "GPT-2", "GPT2LMHeadModel", gpt2_layer,
        _defaults(50257, 0, 12, None, 1024, tie_word_embeddings=True),
        keys={
            "hidden_size": ("n_embd", "hidden_size"), "num_hidden_layers": ("n_layer", "num_hidden_layers"),
            "num_attention_heads": ("n_head", "num_attention_heads"), "intermediate_size": ("n_inner",),
            "max_position_embeddings": ("n_positions", "max_position_embeddings"),
        },
        embedding="transformer.wte", position_table="transformer.wpe", layers="transformer.h",
        final_norm="transformer.ln_f", norm="layer", gated_mlp=False, always_biased=True, own_head_dim=False,
    ),
    Family(
        "gpt_neox", "GPT-NeoX", "GPTNeoXForCausalLM", gpt_neox_layer,
        _defaults(50432, 24576, 64, None, 2048, attention_bias=True),
        embedding="gpt_neox.embed_in", layers="gpt_neox.layers", final_norm="gpt_neox.final_layer_norm",
        norm="layer", gated_mlp=False, own_head_dim=False,
    ),
    Family(
        "mixtral", "Mixtral", "MixtralForCausalLM", plain_layer,
        _defaults(32000, 14336, 32, 8, 131072, sliding_window=None, num_experts=8, num_experts_per_tok=2),
        sparse_layer=mixtral_layer, keys={"num_experts": ("num_local_experts", "num_experts")},
        window=windows.every_layer,
    ),
    Family(
        "olmo", "OLMo", "OlmoForCausalLM", olmo_layer,
        _defaults(50304, 11008, 32, None, 2048, attention_bias=False), final_norm=None, norm="layer",
    ),
    Family(
        "olmo2", "OLMo 2", "Olmo2ForCausalLM", olmo2_layer,
        _defaults(50304, 11008, 32, None, 2048, attention_bias=False), qk_norm=True,
    ),
    Family(
        "olmo3", "OLMo 3", "Olmo3ForCausalLM", olmo2_layer,
        _defaults(50304, 11008, 32, None, 2048, sliding_window=4096, attention_bias=False),
        qk_norm=True, window=windows.three_of_four,
    ),
    Family(
        "smollm3", "SmolLM3", "SmolLM3ForCausalLM", llama_layer,
        _defaults(128256, 11008, 16, 4, 32768, tie_word_embeddings=True, **BIASES), window=windows.smollm3,
    ),
    Family("granite", "Granite", "GraniteForCausalLM", llama_layer, _defaults(32000, 11008, 32, None, 2048, **BIASES)),
)

FAMILIES: Mapping[str, Family] = {row.model_type: row for row in ROWS}


def find(config: Config) -> Family | None:
    """The family of a language model's config (not a multimodal wrapper's), None where ftui doesn't know it."""
    return FAMILIES.get(str(config.get("model_type")))


def sizes(family: Family, config: Config) -> Sizes:
    """Read `config`; what it leaves out is what transformers' class would take.

    Raises BadInput naming the key where a size is missing or no positive whole number.
    """
    read = _Reader(family, config)
    hidden, heads = read.size("hidden_size"), read.size("num_attention_heads")
    layers = read.size("num_hidden_layers", most=10_000)
    kv_heads = read.size("num_key_value_heads", derived=heads)
    head_dim = read.size("head_dim", derived=hidden // heads) if family.own_head_dim else hidden // heads
    intermediate = read.size("intermediate_size", derived=4 * hidden)
    experts = read.size("num_experts", least=0) if family.sparse_layer else 0
    full = {**family.defaults, **config}
    window, sliding_layers = family.window(full, layers)
    if heads % kv_heads or not head_dim:
        raise BadInput(
            f"config.json has {heads} attention heads, {kv_heads} key-value heads and a hidden size of {hidden}, "
            "which don't divide.", "Take the config.json that was published with the model."
        )
    return Sizes(
        hidden=hidden, intermediate=intermediate, layers=layers, heads=heads, kv_heads=kv_heads, head_dim=head_dim,
        vocab=read.size("vocab_size"), context=read.size("max_position_embeddings"),
        tied=read.flag("tie_word_embeddings"),
        attention_bias=family.always_biased or read.flag("attention_bias"), mlp_bias=read.flag("mlp_bias"),
        experts=experts, experts_per_token=read.size("num_experts_per_tok") if experts else 0,
        expert_intermediate=read.size("moe_intermediate_size", derived=intermediate) if experts else 0,
        sparse=_sparse(family, full, layers, experts), window=window, sliding_layers=sliding_layers,
    )


def _sparse(family: Family, config: Config, layers: int, experts: int) -> tuple[bool, ...]:
    if "decoder_sparse_step" not in family.defaults:
        return (experts > 0,) * layers
    stated = config.get("mlp_only_layers")
    dense, step = stated if isinstance(stated, list) else (), windows.whole(config, "decoder_sparse_step") or 1
    return tuple(experts > 0 and index not in dense and (index + 1) % step == 0 for index in range(layers))


class _Reader:
    """Reads one family's config with its defaults, and names the key in what it refuses."""

    def __init__(self, family: Family, config: Config) -> None:
        self.family, self.config = family, config

    def value(self, key: str) -> Any:
        for name in self.family.keys.get(key, (key,)):
            if name in self.config:
                return self.config[name]
        return self.family.defaults.get(key)

    def size(self, key: str, *, derived: int | None = None, least: int = 1, most: int = 1 << 32) -> int:
        value = self.value(key)
        if not value and derived is not None:
            return derived
        name = self.family.keys.get(key, (key,))[0]
        if value is None:
            raise BadInput(f"config.json states no {name}.", "Take the config.json that was published with the model.")
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadInput(
                f"config.json: {name} is {str(value)[:60]!r}, not a whole number from {least} to {most:,}.",
                "Take the config.json that was published with the model.",
            )
        return value

    def flag(self, key: str) -> bool:
        return key in self.family.defaults and bool(self.value(key))


def parts(family: Family, s: Sizes, sparse: bool) -> tuple[Part, ...]:
    """The parts of one decoder layer, in forward order."""
    return family.sparse_layer(s) if sparse and family.sparse_layer else family.layer(s)


def outside(family: Family, s: Sizes) -> Iterator[Part]:
    """What the model holds besides its layers: embeddings, final norm, and the head where it isn't tied."""
    yield matrix(family.embedding, s.vocab, s.hidden)
    if family.position_table:
        yield matrix(family.position_table, s.context, s.hidden)
    if family.final_norm:
        yield norm(family.final_norm, s.hidden, bias=family.norm == "layer")
    if not s.tied:
        yield matrix("lm_head", s.vocab, s.hidden)


def tensors(config: Config) -> list[tuple[str, tuple[int, ...]]]:
    """(name, shape) of every parameter of the real class, tied weights once.  BadInput for an unknown family."""
    family = find(config)
    if family is None:
        raise BadInput(
            f"The tensors of model type {config.get('model_type')!r} are not known to ftui.",
            "Known families: " + ", ".join(row.title for row in ROWS) + ".",
        )
    s = sizes(family, config)
    found = [(part.path + suffix, shape) for part in outside(family, s) for suffix, shape in part.tensors]
    for index, sparse in enumerate(s.sparse):
        for part in parts(family, s, sparse):
            found += [(f"{family.layers}.{index}.{part.path}{suffix}", shape) for suffix, shape in part.tensors]
    return found


def count(family: Family, s: Sizes) -> int:
    """The number of parameters: `sum(p.numel() for p in model.parameters())` of the real class."""
    sparse = sum(s.sparse)
    total = sum(part.elements for part in outside(family, s))
    for kind, layers in ((True, sparse), (False, s.layers - sparse)):
        total += layers * sum(part.elements for part in parts(family, s, kind)) if layers else 0
    return total


def linears(family: Family, s: Sizes) -> tuple[Linear, ...]:
    """Every kind of linear map in the decoder layers, in forward order."""
    sparse = sum(s.sparse)
    found: dict[str, Linear] = {}
    for kind, layers in ((True, sparse), (False, s.layers - sparse)):
        for part in parts(family, s, kind) if layers else ():
            if part.linear is None:
                continue
            inputs, outputs = part.linear
            each = part.experts or 1
            known = found.get(part.path)
            found[part.path] = Linear(
                name=part.path.rsplit(".", 1)[-1], inputs=inputs, outputs=outputs, bias=len(part.tensors) > 1,
                count=each * layers + (known.count if known else 0), per_layer=each, packed=part.experts > 0,
            )
    return tuple(found.values())
