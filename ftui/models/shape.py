"""From a config (and, where there are any, the weight files' headers) to a `ModelShape`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ftui.errors import BadInput
from ftui.models import counts, families, unknown
from ftui.models.config import LanguageConfig, context_length, language
from ftui.models.document import ModelShape
from ftui.models.family import Family, Sizes
from ftui.models.headers import Checkpoint
from ftui.models.own_code import needed
from ftui.models.stored import stored
from ftui.models.vision import around

Source = Literal["local", "hub", "catalogue", "config"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a config came from and what is known beside it; fields as in `ModelShape`."""

    ref: str
    source: Source
    path: str | None = None
    revision: str | None = None
    checkpoint: Checkpoint | None = None
    dtype: str | None = None
    """What the checkpoint is stored in, where known better than from the config."""
    weight_bytes: int | None = None
    chat_template: str | None = None
    chat_template_known: bool = False
    licence: str | None = None
    gated: bool | None = None
    notes: tuple[str, ...] = ()


def build(config: Mapping[str, Any], origin: Origin) -> ModelShape:
    """The shape of the language model that `config` describes.

    Exact for the families of `ftui.models.families` and for what a `count` job has counted; else estimated, with the
    reason.  Raises BadInput where the config states no usable sizes or the weights don't belong to it.
    """
    read = language(config)
    family = families.find(read.text)
    body = _known(family, read, origin) if family else unknown.describe(read, origin.checkpoint, counts.read(config))
    checkpoint = origin.checkpoint
    notes = [*origin.notes, *body.pop("notes", ())]
    beside = around(read.whole, body["hidden"]) if read.multimodal else 0
    if beside is None and checkpoint is not None and not read.quantization:
        beside = max(0, sum(tensor.elements for tensor in checkpoint.tensors.values()) - body["parameters"])
    if read.multimodal:
        also = f" ({beside:,} parameters)" if beside else ""
        notes.append(f"The language model is counted; the parts for pictures or sound around it are not{also}.")
    if read.quantization:
        notes.append(f"The checkpoint is quantized ({read.quantization}); parameters are counted as unquantized.")
    dtype = checkpoint.dtype if checkpoint and not read.quantization else None
    return ModelShape(
        ref=origin.ref, path=origin.path, revision=origin.revision, source=origin.source,
        model_type=read.model_type, architecture=read.architecture or (family.architecture if family else "unknown"),
        dtype=dtype or origin.dtype or read.dtype, quantization=read.quantization,
        stored=stored(read.quantization_config, read.quantization),
        weight_bytes=checkpoint.bytes if checkpoint else origin.weight_bytes,
        chat_template=origin.chat_template, chat_template_known=origin.chat_template_known,
        licence=origin.licence, gated=origin.gated,
        remote_code=bool(needed(config)) or bool(family and family.remote_code), notes=tuple(notes),
        other_parameters=beside or 0, others_known=beside is not None, **body,
    )


def _known(family: Family, read: LanguageConfig, origin: Origin) -> dict[str, Any]:
    s = families.sizes(family, read.text, inside=read.multimodal)
    if origin.checkpoint:
        _belongs(family, s, origin.checkpoint, read.quantization)
    context, scaled = context_length(read.text, s.context)
    notes = [scaled] if scaled else []
    if s.window and s.sliding_layers and s.window < context:
        notes.append(f"{s.sliding_layers} of {s.layers} layers attend within {s.window:,} tokens only.")
    return {
        "hidden": s.hidden, "intermediate": s.intermediate, "layers": s.layers, "heads": s.heads,
        "kv_heads": s.kv_heads, "head_dim": s.head_dim, "vocab": s.vocab, "context_length": context,
        "tied_embeddings": s.tied, "gated_mlp": family.gated_mlp, "attention_bias": s.flag(family.bias),
        "qk_norm": s.flag(family.qk_norm), "norm": family.norm, "norms_per_layer": family.norms_per_layer,
        "sliding_window": s.window, "sliding_layers": s.sliding_layers,
        "attention_softcap": _number(s.read.value("attn_logit_softcapping")),
        "logit_softcap": _number(s.read.value("final_logit_softcapping")),
        "learned_positions": s.context if family.position_table else 0,
        "experts": s.experts, "experts_per_token": s.experts_per_token, "expert_intermediate": s.expert_intermediate,
        "linears": families.linears(family, s), "parameters": families.count(family, s),
        "embedding_parameters": s.vocab * s.hidden, "notes": notes, **families.shape_fields(family, s),
    }


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _belongs(family: Family, s: Sizes, checkpoint: Checkpoint, quantization: str | None) -> None:
    """Refuse weights that transformers could load only by making up what is missing."""
    table = family.embedding.rsplit(".", 1)[-1] + ".weight"
    for name, info in checkpoint.tensors.items():
        if name.endswith(table) and len(info.shape) == 2 and info.dtype.startswith(("F", "BF")):
            if info.shape != (s.vocab, s.hidden) and not quantization and "vision" not in name:
                raise BadInput(
                    f"The weights don't belong to config.json: {name} is {info.shape[0]:,} × {info.shape[1]:,}, "
                    f"config.json says {s.vocab:,} × {s.hidden:,}.",
                    "Take config.json and weights from the same model and revision.",
                )
            break
    present = layers_in(checkpoint.tensors, family.layers.rsplit(".", 1)[-1])
    absent = next((index for index in range(s.layers) if index not in present), None)
    if present and absent is not None:
        raise BadInput(
            f"The weights hold {len(present)} layers, config.json says {s.layers}: layer {absent} is missing.",
            "Download the model again, or take config.json and weights from the same model.",
        )


def layers_in(names: Iterable[str], word: str) -> set[int]:
    """The layer numbers among tensor names, where `word` stands before the number; vision towers left out."""
    pattern = re.compile(rf"(?:^|\.){re.escape(word)}\.(\d+)\.")
    return {
        int(match.group(1)) for name in names
        if "vision" not in name and "visual" not in name and (match := pattern.search(name))
    }
