"""The model families whose exact tensors ftui knows, and what they come to: counts, tensors, linear maps, blocks.

The rows stand in `dense`, `mixtures`, `hybrids` and `ancestors`; to add a family, write one there and run
`tools/model_defaults.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import Any

from ftui.errors import BadInput
from ftui.models import ancestors, dense, hybrids, mixtures
from ftui.models.document import Block, Linear
from ftui.models.family import Config, Family, Reader, Sizes, parts, sizes
from ftui.models.parts import Part, linear, matrix, norm

__all__ = ["FAMILIES", "ROWS", "Family", "Reader", "Sizes", "blocks", "count", "find", "linears", "sizes", "tensors"]

ROWS: tuple[Family, ...] = (*dense.ROWS, *mixtures.ROWS, *hybrids.ROWS, *ancestors.ROWS)

TWINS = {
    "qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen3_vl_text": "qwen3", "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_5": "qwen3_5_text", "qwen3_5_moe": "qwen3_5_moe_text", "gemma4": "gemma4_text",
    "gemma4_unified_text": "gemma4_text", "llama4": "llama4_text", "Yi": "llama",
}
"""Types that a config gives to the language model inside a multimodal one -> the family with the same tensors."""

FAMILIES: Mapping[str, Family] = {row.model_type: row for row in ROWS}


def find(config: Config) -> Family | None:
    """The family of a language model's config (not a multimodal wrapper's), None where ftui doesn't know it."""
    stated = str(config.get("model_type"))
    family = FAMILIES.get(TWINS.get(stated, stated))
    if family is None or (stated == "chatglm" and "inner_hidden_size" in config):  # the first ChatGLM is another model
        return None
    return replace(family, model_type=stated, defaults_of=family.model_type) if stated in TWINS else family


def outside(family: Family, s: Sizes) -> Iterator[Part]:
    """What the model holds besides its layers: embeddings, final norm, and the head where it isn't tied."""
    width = s.num("word_embed_proj_dim") or s.hidden
    yield matrix(family.embedding, s.vocab, width)
    if family.position_table:
        yield matrix(family.position_table, s.context + family.extra_positions, s.hidden)
    yield from family.outside(s)
    if family.final_norm:
        yield norm(family.final_norm, s.hidden, family.norm_shift)
    bias = s.flag(family.head_bias)
    if not s.tied:
        yield linear("lm_head", width, s.vocab, bias)
    elif bias:
        yield Part("lm_head", ((".bias", (s.vocab,)),))


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
    for index, (mixer, sparse) in enumerate(zip(s.mixers, s.sparse, strict=True)):
        for part in parts(family, s, mixer, sparse):
            found += [(f"{family.layers}.{index}.{part.path}{suffix}", shape) for suffix, shape in part.tensors]
    return found


def _kinds(s: Sizes) -> Counter[tuple[str, bool]]:
    """How many layers there are of each kind, in the order of their first."""
    return Counter(zip(s.mixers, s.sparse, strict=True))


def count(family: Family, s: Sizes) -> int:
    """The number of parameters: `sum(p.numel() for p in model.parameters())` of the real class."""
    total = sum(part.elements for part in outside(family, s))
    for (mixer, sparse), layers in _kinds(s).items():
        total += layers * sum(part.elements for part in parts(family, s, mixer, sparse))
    return total


def linears(family: Family, s: Sizes) -> tuple[Linear, ...]:
    """Every kind of linear map in the decoder layers, in forward order; those of one name and shape together."""
    found: dict[tuple[str, int, int], Linear] = {}
    for (mixer, sparse), layers in _kinds(s).items():
        for part in parts(family, s, mixer, sparse):
            if part.linear is None:
                continue
            key = (part.path, *part.linear)
            known = found.get(key)
            found[key] = _linear(part, layers + (known.count // known.per_layer if known else 0))
    return tuple(found.values())


def _linear(part: Part, layers: int) -> Linear:
    assert part.linear is not None
    each = part.experts or 1
    return Linear(
        name=part.path.rsplit(".", 1)[-1], inputs=part.linear[0], outputs=part.linear[1],
        bias=len(part.tensors) > 1, count=each * layers, per_layer=each, packed=part.experts > 0,
    )


def blocks(family: Family, s: Sizes) -> tuple[Block, ...]:
    """The kinds of decoder layers, each with its linear maps and how many layers are of it."""
    found = []
    for (mixer, sparse), layers in _kinds(s).items():
        own = parts(family, s, mixer, sparse)
        found.append(Block(
            mixer=mixer.removesuffix(" reusing"), sparse=sparse, count=layers,
            parameters=sum(part.elements for part in own),
            linears=tuple(_linear(part, layers) for part in own if part.linear),
        ))
    return tuple(found)


def _biases(found: Iterable[Part]) -> int:
    return sum(prod(shape) for part in found for suffix, shape in part.tensors if suffix == ".bias")


def shape_fields(family: Family, s: Sizes) -> dict[str, Any]:
    """What a `ModelShape` says of attention's and the experts' forms beyond plain decoders."""
    fields: dict[str, Any] = {
        "blocks": blocks(family, s),
        "layer_parameters": tuple(
            sum(part.elements for part in parts(family, s, mixer, sparse))
            for mixer, sparse in zip(s.mixers, s.sparse, strict=True)
        ),
        "biases": _biases(outside(family, s)) + sum(
            layers * _biases(parts(family, s, mixer, sparse)) for (mixer, sparse), layers in _kinds(s).items()
        ),
        "layer_kinds": tuple(Counter(mixer.removesuffix(" reusing") for mixer in s.mixers).items()),
        "dense_layers": s.sparse.count(False) if s.experts else 0,
    }
    if family.latent:
        fields |= {
            "q_lora_rank": s.num("q_lora_rank"), "kv_lora_rank": s.num("kv_lora_rank"),
            "qk_nope_head_dim": s.num("qk_nope_head_dim"), "qk_rope_head_dim": s.num("qk_rope_head_dim"),
            "v_head_dim": s.num("v_head_dim"),
        }
    if s.experts:
        first = s.sparse.index(True) if True in s.sparse else 0
        own = parts(family, s, s.mixers[first], True)
        fields["shared_expert_intermediate"] = max(
            (part.linear[0] for part in own if part.linear and "shared" in part.path
             and part.path.endswith(("down_proj", "output_linear"))), default=0,
        )
    return fields
