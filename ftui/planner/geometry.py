"""A model's sizes as the formulas need them: which modules share an input, what LoRA can target, what 4 bits reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from ftui.models.document import Linear, ModelShape
from ftui.models.stored import Stored

Place = Literal["attention in", "attention out", "mlp in", "mlp out"]
Order = Literal["pre", "sandwich", "post", "parallel"]
"""Where a layer's norms stand: before attention and MLP, before and after each, after each, or before both of them,
which then run side by side on the same input."""

ATTENTION_IN = {
    "q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "query", "key", "value",
    "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj",
}
ATTENTION_OUT = {"o_proj", "dense", "out_proj"}
MLP_IN = {"gate_proj", "up_proj", "gate_up_proj", "c_fc", "dense_h_to_4h", "fc1", "w1", "w3", "gate", "router"}
MLP_OUT = {"down_proj", "dense_4h_to_h", "fc2", "w2"}

BLOCKS = ("self_attn.", "mlp.", "mlp.experts.", "attention.", "attn.", "")
"""What stands between a layer's number and a linear module's name, in the usual families."""

UNFUSED_GELU = {"gpt2", "phi", "gpt_neo", "codegen", "gptj"}
"""Families whose `gelu_new` is plain Python in transformers, which keeps four tensors of the MLP's width, not one."""

ATTENTION_DROPOUT = {"gpt2"}
"""Families with dropout inside attention: torch's CPU attention then takes the path that stores the scores."""

Rotary = Literal["none", "whole", "joined"]
"""How positions reach query and key: not at all (they are added to the embeddings), by turning the whole heads, or by
turning a part and putting both parts together anew."""

JOINED_ROTARY = {
    "gpt_neox", "phi", "phi3", "stablelm", "persimmon", "nemotron", "glm", "glm4", "glm4_moe", "qwen3_next", "minimax",
    "minimax_m2",
}
"""Families that turn a part of each head and join the rest (phi3 also where the rest is nothing)."""

FLOAT_NORMS = ("gemma", "qwen3_next", "qwen3_5")
"""Beginnings of the model types whose norms multiply with 1 + weight in float32 before they cast back."""

SLICED_QKV = {"phi3", "phi4", "phi4_multimodal", "phimoe"}
"""Families that index into a fused projection; others split it."""

POST_NORMS = {"olmo2", "olmo3", "exaone4"}
PARALLEL = {"gpt_neox", "gptj", "phi", "falcon", "cohere", "cohere2", "codegen", "stablelm_parallel"}

ADAPTED_EXPERTS = {
    "afmoe", "cohere2_moe", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots1", "ernie4_5_moe", "exaone_moe",
    "flex_olmo", "glm4_moe", "glm4_moe_lite", "glm4v_moe", "glm_moe_dsa", "hunyuan_v1_moe", "longcat_flash", "minimax",
    "minimax_m2", "mixtral", "olmoe", "qwen3_moe", "qwen3_next", "qwen3_omni_moe", "solar_open",
}
"""Families whose LoRA targets peft 0.21 reads as those of their experts before they were fused
(`peft.utils.transformers_weight_conversion`): "gate" is the router, gate and up are one tensor with twice the rank, and
modules of the same names outside of the routed experts get none.  Elsewhere fused experts get no adapters."""

ROUTER = "gate"
UNFUSED = (("gate_up_proj", frozenset({"gate_proj", "up_proj"})), ("down_proj", frozenset({"down_proj"})))
"""Fused expert tensors with the names of the modules that each was before."""
UNFUSED_MIXTRAL = (("gate_up_proj", frozenset({"w1", "w3"})), ("down_proj", frozenset({"w2"})))
NAMED_AS_MIXTRAL = {"mixtral", "minimax", "minimax_m2"}

FAMILIES = {
    "llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3_text", "gemma3", "smollm3", "gpt2", "gpt_neox",
    "mixtral", "qwen3_moe",
}
"""Families whose layers were held against traced steps, or that have the very same layers."""


@dataclass(frozen=True)
class Target:
    """One kind of linear module: where it sits, its widths, how many there are and whether an adapter can be put on."""

    name: str
    place: Place
    inputs: int
    outputs: int
    per_layer: int
    count: int
    packed: bool
    ranks: int = 1
    """How many times the adapter's rank peft gives it: two for a fused gate and up of packed experts."""
    bias: bool = False

    @property
    def weights(self) -> int:
        """Elements of one such module, without its bias."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Geometry:
    """Widths in elements: `hidden` H, `query` Q, `key` K, `mlp` I as one token sees them, `vocab` V."""

    layers: int
    hidden: int
    query: int
    key: int
    heads: int
    kv_heads: int
    mlp: int
    vocab: int
    gated: bool
    tied: bool
    rms: bool
    norms: int
    qk_norm: bool
    softcap: bool
    capped_logits: bool
    head_dim: int
    experts_per_token: int
    expert_mlp: int
    parameters: int
    embedding: int
    linear_weights: int
    """Elements in the plain linear modules of all layers: what 4 and 8 bits reach."""
    packed_weights: int
    """Elements in fused expert tensors: bitsandbytes quantizes modules only, so these stay as they are."""
    layer_weights: int
    """Linear elements of one layer, experts included."""
    largest_linear: int
    targets: tuple[Target, ...]
    new_gelu: bool
    known: bool
    adapts_experts: bool
    unfused: tuple[tuple[str, frozenset[str]], ...]
    """What the fused expert tensors were, by the names of LoRA's targets; empty where they get no adapters."""
    attention_dropout: bool
    float_norms: bool
    """The norms multiply with their weight in float32 (the Gemma families)."""
    order: Order
    rotary: Rotary
    window: int
    sliding_layers: int
    """Layers that attend within `window` tokens only."""
    sliced: bool
    """The fused query, key and value are taken apart by indexing, whose gradient is as large as the whole each time."""
    fused_attention: bool
    """Query, key and value come from one module: the value is a view that keeps all three alive."""
    layer_parameters: tuple[int, ...] = ()
    """Elements of each layer, norms and biases included, in order."""
    biases: int = 0
    """Elements of all biases."""
    beside: int = 0
    """Elements of the parts around a multimodal model's language model: loaded with it, but not trained on text."""
    beside_known: bool = True
    quantized: str | None = None
    """How the checkpoint is quantized, and what its weights take so; None for a plain one."""
    stored: Stored | None = None

    @cached_property
    def _hash(self) -> int:
        return hash((self.parameters, self.layers, self.hidden, self.mlp, self.vocab, self.targets))

    def __hash__(self) -> int:
        """Asked for at every estimate, so counted once."""
        return self._hash


def place_of(linear: Linear, hidden: int, intermediate: int) -> Place:
    """Where a linear module sits, by its name and, for the names that several places share, by its width."""
    if linear.name in ATTENTION_IN:
        return "attention in"
    if linear.name in MLP_OUT or (linear.name == "c_proj" and linear.inputs == intermediate):
        return "mlp out"
    if linear.name in ATTENTION_OUT or linear.name == "c_proj":
        return "attention out"
    if linear.name in MLP_IN or linear.inputs == hidden:
        return "mlp in"
    return "mlp out"


def geometry(shape: ModelShape) -> Geometry:
    """The sizes of `shape`; where it lists no linear modules, those of a plain decoder layer are taken."""
    linears = shape.linears or _plain_layer(shape)
    targets = tuple(
        Target(
            x.name, place_of(x, shape.hidden, shape.intermediate), x.inputs, x.outputs, x.per_layer, x.count, x.packed,
            ranks=2 if x.packed and x.name == "gate_up_proj" else 1, bias=x.bias,
        )
        for x in linears
    )
    norms = shape.norms_per_layer * shape.layers * shape.hidden * (1 if shape.norm == "rms" else 2)
    linear_biases = sum(t.outputs * t.count for t in targets if t.bias and not t.packed)
    estimated = (sum((t.weights + (t.outputs if t.bias else 0)) * t.count for t in targets) + norms) // shape.layers
    adapts = shape.model_type in ADAPTED_EXPERTS and any(t.packed for t in targets)
    unfused = UNFUSED_MIXTRAL if shape.model_type in NAMED_AS_MIXTRAL else UNFUSED
    plain = sum(t.weights * t.count for t in targets if not t.packed)
    packed = sum(t.weights * t.count for t in targets if t.packed)
    return Geometry(
        layers=shape.layers, beside=shape.other_parameters, hidden=shape.hidden, query=shape.heads * shape.head_dim,
        key=shape.kv_heads * shape.head_dim, heads=shape.heads, kv_heads=shape.kv_heads, mlp=shape.intermediate,
        vocab=shape.vocab, gated=shape.gated_mlp, tied=shape.tied_embeddings, rms=shape.norm == "rms",
        norms=shape.norms_per_layer, qk_norm=shape.qk_norm,
        softcap=bool(shape.attention_softcap), capped_logits=bool(shape.logit_softcap), head_dim=shape.head_dim,
        experts_per_token=shape.experts_per_token if shape.experts else 0,
        expert_mlp=shape.expert_intermediate or shape.intermediate,
        parameters=shape.parameters, embedding=shape.embedding_parameters, linear_weights=plain, packed_weights=packed,
        layer_weights=(plain + packed) // max(shape.layers, 1),
        largest_linear=max((t.weights for t in targets if not t.packed), default=0),
        targets=targets, new_gelu=shape.model_type in UNFUSED_GELU and not shape.gated_mlp,
        known=shape.exact and shape.model_type in FAMILIES,
        adapts_experts=adapts, unfused=unfused if adapts else (),
        attention_dropout=shape.model_type in ATTENTION_DROPOUT,
        float_norms=shape.norm == "rms" and shape.model_type.startswith(FLOAT_NORMS),
        order=_order(shape), rotary=_rotary(shape),
        layer_parameters=shape.layer_parameters or (estimated,) * shape.layers,
        biases=linear_biases if shape.biases is None else shape.biases,
        window=shape.sliding_window or 0, sliding_layers=shape.sliding_layers if shape.sliding_window else 0,
        sliced=shape.model_type in SLICED_QKV,
        fused_attention=sum(t.place == "attention in" for t in targets) == 1,
        quantized=shape.quantization, stored=shape.stored, beside_known=shape.others_known,
    )


def _rotary(shape: ModelShape) -> Rotary:
    if shape.learned_positions:
        return "none"
    return "joined" if shape.model_type in JOINED_ROTARY else "whole"


def _order(shape: ModelShape) -> Order:
    if shape.model_type in PARALLEL:
        return "parallel"
    if shape.model_type in POST_NORMS:
        return "post"
    return "sandwich" if shape.norms_per_layer == 4 else "pre"


@lru_cache(maxsize=256)
def chosen(sizes: Geometry, wanted: str | tuple[str, ...], *, lora: bool = True) -> tuple[Target, ...]:
    """The kinds of module that get an adapter: all of them, those named, or those that a pattern names.

    peft matches a single string as a pattern on whole module paths (a recipe has `re:` before it); a path's last part
    decides here.  Only LoRA
    (`lora`) reaches fused experts, and only in the families of `ADAPTED_EXPERTS`.
    """
    plain = tuple(t for t in sizes.targets if not t.packed)
    before = {ROUTER}.union(*(names for _, names in sizes.unfused)) if lora and sizes.adapts_experts else set()
    known = before | {t.name for t in plain}
    if wanted == "all-linear":
        names = known
    elif isinstance(wanted, str):
        wanted = wanted.removeprefix("re:")
        words = set(re.findall(r"\w+", wanted))
        names = {name for name in known if name in words or _spelled(name, wanted)} or known
    else:
        names = {name.rsplit(".", 1)[-1] for name in wanted}
    modules = tuple(t for t in plain if t.name in names - before)
    return modules + (_fused(sizes, names) if before else ())


def _fused(sizes: Geometry, names: set[str]) -> tuple[Target, ...]:
    """The fused expert tensors whose former modules are all named, and the router where it is."""
    packed, former = tuple(t for t in sizes.targets if t.packed), dict(sizes.unfused)
    found = tuple(t for t in packed if t.name in former and former[t.name] <= names)
    if ROUTER not in names:
        return found
    experts = packed[0].per_layer
    router = Target(ROUTER, "mlp in", sizes.hidden, experts, 1, packed[0].count // experts, packed=True)
    return (*found, router)


def _spelled(name: str, pattern: str) -> bool:
    """Whether peft's full match of `pattern` reaches a module called `name`; a broken pattern reaches none."""
    paths = (f"{top}layers.0.{block}{name}" for top in ("model.", "model.language_model.") for block in BLOCKS)
    try:
        return any(re.fullmatch(pattern, path) for path in paths)
    except re.error:
        return False


def _plain_layer(shape: ModelShape) -> tuple[Linear, ...]:
    hidden, query, key = shape.hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    sizes = [("q_proj", hidden, query), ("k_proj", hidden, key), ("v_proj", hidden, key), ("o_proj", query, hidden)]
    sizes += [("gate_proj", hidden, shape.intermediate)] if shape.gated_mlp else []
    sizes += [("up_proj", hidden, shape.intermediate), ("down_proj", shape.intermediate, hidden)]
    return tuple(Linear(name=n, inputs=i, outputs=o, count=shape.layers) for n, i, o in sizes)
