"""Models of a family that ftui has no row for: what the headers, a count job, or common config keys say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ftui.errors import BadInput
from ftui.models.config import LanguageConfig, context_length
from ftui.models.counts import Counted
from ftui.models.document import Linear
from ftui.models.headers import Checkpoint, TensorInfo

NAMES: Mapping[str, tuple[str, ...]] = {
    "hidden": ("hidden_size", "n_embd", "d_model", "dim"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "intermediate": ("intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim", "ffn_hidden_dim"),
    "vocab": ("vocab_size", "padded_vocab_size"),
    "context": ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "max_seq_len", "n_ctx"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "moe_topk"),
    "expert_intermediate": ("moe_intermediate_size", "expert_ffn_hidden_size"),
}
"""The names under which configs of many families state the common sizes."""

BUFFERS = re.compile(r"(inv_freq|masked_bias|\.attn\.bias|attention\.bias|rotary_emb\..*|position_ids)$")
HINT = "To count the real class: ftui models count"


def describe(read: LanguageConfig, checkpoint: Checkpoint | None, counted: Counted | None) -> dict[str, Any]:
    """The fields of `ModelShape` that depend on the family, as well as they can be known.

    Raises BadInput where config.json doesn't even state a hidden size and a number of layers.
    """
    size = {field: _first(read.text, names) for field, names in NAMES.items()}
    missing = [NAMES[field][0] for field in ("hidden", "layers") if not size[field]]
    if missing:
        raise BadInput(
            f"config.json (model type {read.model_type!r}) states no {' and no '.join(missing)}.",
            "ftui trains causal language models: is this the config.json of one?",
        )
    hidden, layers = size["hidden"], size["layers"]
    heads = size["heads"] or max(1, hidden // 64)
    stated = read.text.get("head_dim")
    vocab = size["vocab"] or _rows(checkpoint) or 0
    context, note = context_length(read.text, size["context"] or 2048)
    tied = bool(read.text.get("tie_word_embeddings", False))
    body = {
        "hidden": hidden, "layers": layers, "heads": heads, "kv_heads": size["kv_heads"] or heads,
        "head_dim": stated if isinstance(stated, int) and stated > 0 else max(1, hidden // heads),
        "intermediate": size["intermediate"] or 4 * hidden, "vocab": vocab, "context_length": context,
        "tied_embeddings": tied, "experts": size["experts"] or 0,
        "experts_per_token": size["experts_per_token"] or 0,
        "expert_intermediate": (size["expert_intermediate"] or size["intermediate"] or 0) if size["experts"] else 0,
        "embedding_parameters": vocab * hidden, "notes": (note,) if note else (),
    }
    found = _count(read, body, checkpoint, counted)
    return {**body, **found, "gated_mlp": any("gate" in row.name or row.name == "w3" for row in found["linears"])}


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40:
            return value
    return None


def _rows(checkpoint: Checkpoint | None) -> int | None:
    shapes = [info.shape for info in checkpoint.tensors.values() if len(info.shape) == 2] if checkpoint else []
    return max((shape[0] for shape in shapes), default=None)


def _count(
    read: LanguageConfig, body: Mapping[str, Any], checkpoint: Checkpoint | None, counted: Counted | None
) -> dict[str, Any]:
    family = f"The family {read.model_type!r} has no row in ftui"
    if counted is not None:
        return {
            "parameters": counted.parameters, "linears": counted.linears, "tied_embeddings": counted.tied_embeddings,
            "embedding_parameters": counted.embedding_parameters,
        }
    if checkpoint is not None and not read.quantization:
        kept = {name: info for name, info in checkpoint.tensors.items() if not BUFFERS.search(name)}
        return {
            "parameters": sum(info.elements for info in kept.values()), "linears": linears_in(kept), "exact": False,
            "inexact_reason": f"{family}: counted from the weight files' headers, shared tensors perhaps twice. {HINT}",
        }
    linears = guessed_linears(body)
    head = body["embedding_parameters"] * (1 if body["tied_embeddings"] else 2)
    inside = sum(row.count * row.inputs * row.outputs for row in linears)
    return {
        "parameters": head + inside + (2 * body["layers"] + 1) * body["hidden"], "linears": linears, "exact": False,
        "inexact_reason": f"{family}: estimated as if it were built like Llama. {HINT}",
    }


def guessed_linears(body: Mapping[str, Any]) -> tuple[Linear, ...]:
    """The linear maps that a Llama-like decoder of these sizes would have."""
    hidden, layers, experts = body["hidden"], body["layers"], body["experts"]
    query, key = body["heads"] * body["head_dim"], body["kv_heads"] * body["head_dim"]
    width = body["expert_intermediate"] if experts else body["intermediate"]
    shapes = (
        ("q_proj", hidden, query, 1), ("k_proj", hidden, key, 1), ("v_proj", hidden, key, 1),
        ("o_proj", query, hidden, 1), ("gate_proj", hidden, width, experts or 1),
        ("up_proj", hidden, width, experts or 1), ("down_proj", width, hidden, experts or 1),
    )
    return tuple(
        Linear(name=name, inputs=inputs, outputs=outputs, count=each * layers, per_layer=each, packed=each > 1)
        for name, inputs, outputs, each in shapes
    )


def linears_in(tensors: Mapping[str, TensorInfo]) -> tuple[Linear, ...]:
    """The linear maps among stored tensors: 2-D weights below a numbered layer, grouped by path and shape."""
    groups: dict[tuple[str, int, int], list[str]] = {}
    for name, info in tensors.items():
        if name.endswith(".weight") and len(info.shape) == 2 and re.search(r"\.\d+\.", name):
            general = re.sub(r"\.\d+(?=\.)", ".#", name).removesuffix(".weight")
            groups.setdefault((general, *info.shape), []).append(name)
    found = []
    for (general, outputs, inputs), names in groups.items():
        layers = {match.group(1) for name in names if (match := re.search(r"\.(\d+)\.", name))}
        found.append(Linear(
            name=general.rsplit(".", 1)[-1], inputs=inputs, outputs=outputs, count=len(names),
            bias=names[0].removesuffix("weight") + "bias" in tensors, per_layer=max(1, len(names) // len(layers)),
        ))
    return tuple(found)
