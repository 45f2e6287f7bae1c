"""Quantization-aware tuning with torchao: the model trains with its weights rounded as they will be when it is used.

The rounding is simulated: weights stay in their number format and take gradients as if they were not rounded (the
straight-through estimator).  What is saved are those weights, in the model's own format; rounding them afterwards by
the same grid gives, to the bit, the model that was trained and evaluated (`ftui.worker.usage` writes how).
"""

from __future__ import annotations

import os
from typing import Any

from ftui.errors import BadInput

QAT_GROUP = 32
"""Weights that share a scale in int4, as torchao's own grids have it."""

# Its kernels for other devices are not needed, and each that doesn't load says so.
os.environ.setdefault("TORCHAO_SKIP_LOADING_SO_FILES", "1")


def prepare(model: Any, kind: str) -> Any:
    """`model` with the weights of all its linear modules but the head rounded in every forward pass.

    `kind` is "int8" (a scale for each row) or "int4" (one for each group of 32 in it).  Raises BadInput where a row
    can't be divided into such groups.
    """
    import torch
    from torchao.quantization import quantize_
    from torchao.quantization.qat import IntxFakeQuantizeConfig, QATConfig

    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    scores = getattr(model, "score", None)
    chosen = {
        name: module for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head and module is not scores
    }
    odd = next((name for name, module in chosen.items() if module.in_features % QAT_GROUP), None)
    if kind == "int4" and odd is not None:
        raise BadInput(f"{odd} has {chosen[odd].in_features} inputs, which are no multiple of {QAT_GROUP}: train.qat "
                       "can't group them.", "Write train.qat: int8, or train.qat: none.")
    form: Any = getattr(torch, kind)
    grid = (IntxFakeQuantizeConfig(form, group_size=QAT_GROUP) if kind == "int4"
            else IntxFakeQuantizeConfig(form, "per_channel"))
    quantize_(model, QATConfig(weight_config=grid, step="prepare"), filter_fn=lambda module, name: name in chosen)
    return model
