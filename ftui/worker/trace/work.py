"""What an operation costs in time: floating-point operations by number format, bytes, and kernel launches."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from ftui.worker.trace.log import Work

aten = torch.ops.aten

FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "_reshape_alias",
        "detach", "alias", "_local_scalar_dense", "lift_fresh", "resize_", "set_"}
"""Operations that launch no kernel though they aren't views by their schema."""


def work_of(func: Any, args: Any, kwargs: Any, made: list[torch.Tensor]) -> Work | None:
    """The work of one call; None for views and what only makes room."""
    if func.is_view or (name := func.name().partition("::")[2].partition(".")[0]) in FREE:
        return None
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
    read = sum(_bytes(tensor) for tensor in tensors)
    written = sum(_bytes(tensor) for tensor in made)
    for value in args:
        if isinstance(value, (list, tuple)):
            read += sum(_bytes(tensor) for tensor in value if isinstance(tensor, torch.Tensor))
    flops = COUNTED[name](args, kwargs, made) if name in COUNTED else 0.0
    half = bool(flops) and bool(tensors) and tensors[0].dtype in (torch.bfloat16, torch.float16)
    return Work(flops if half else 0.0, 0.0 if half else flops, float(read + written), 1)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _mm(args: Any, kwargs: Any, made: Any) -> float:
    return 2.0 * prod(args[0].shape) * args[1].shape[-1]


def _addmm(args: Any, kwargs: Any, made: Any) -> float:
    return _mm(args[1:], kwargs, made)


def _grouped(args: Any, kwargs: Any, made: Any) -> float:
    """Each row of a 2-D first factor meets one expert's matrix; 3-D ones are batches."""
    return 2.0 * prod(args[0].shape) * args[1].shape[-1]


def _attention(args: Any, kwargs: Any, made: Any) -> float:
    """Two products, each query against each key; a causal kernel skips half of them."""
    query, key, value = args[:3]
    pairs = prod(query.shape[:-1]) * key.shape[-2]
    causal = (args[4] if len(args) > 4 else False) is True
    return 2.0 * pairs * (query.shape[-1] + value.shape[-1]) * (0.5 if causal else 1.0)


def _attention_backward(args: Any, kwargs: Any, made: Any) -> float:
    """Five products in place of two: the scores are made again."""
    query, key, value = args[1:4]
    pairs = prod(query.shape[:-1]) * key.shape[-2]
    causal = (args[7] if len(args) > 7 else False) is True
    return 2.5 * 2.0 * pairs * (query.shape[-1] + value.shape[-1]) * (0.5 if causal else 1.0)


def _gemm_4bit(args: Any, kwargs: Any, made: Any) -> float:
    return 2.0 * prod(args[0].shape) * args[2][0]


def _int8(args: Any, kwargs: Any, made: Any) -> float:
    matrix = args[2] if len(args) > 5 else args[1]
    return 2.0 * prod(args[0].shape) * matrix.shape[0]


COUNTED: dict[str, Callable[[Any, Any, Any], float]] = {
    "mm": _mm, "bmm": _mm, "addmm": _addmm, "baddbmm": _addmm, "_grouped_mm": _grouped,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "gemm_4bit": _gemm_4bit, "int8_mixed_scaled_mm": _int8, "int8_scaled_mm": _int8,
}
