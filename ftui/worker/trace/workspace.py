"""What CUDA's kernels allocate by themselves while they run, which no dispatcher sees.

Each rule is read off the kernels' sources: torch's ATen/native/transformers/cuda/flash_attn/flash_api.cpp (mha_bwd) and
mem_eff_attention/kernel_backward.h, ATen/native/cuda/SoftMax.cu, bitsandbytes/backends/cuda/ops.py.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

Capability = tuple[int, int]

CUSTOM_ROWS = 1536
"""Up to so many tokens bitsandbytes may have a kernel that needs no dequantized weight; training has more."""


def cublas_bytes(capability: Capability) -> int:
    """cuBLAS' workspace for one thread: `getChosenWorkspaceSize` in ATen/cuda/CublasHandlePool.cpp."""
    return 32 << 20 if capability >= (9, 0) else 8_519_680


def hidden(func: Any, args: Any, kwargs: Any, result: Any) -> list[int]:
    """Sizes in bytes of the buffers that the CUDA kernel of this call holds beside its arguments and results."""
    rule = RULES.get(func.name().partition(".")[0])
    return rule(args, kwargs, result) if rule else []


def _flash_backward(args: Any, kwargs: Any, result: Any) -> list[int]:
    """float32 accumulator of the query's gradient, softmax's row sums, and with grouped queries the keys' and values'
    gradients for every query head; the mem-efficient kernel's accumulator and delta are as large."""
    query, key = args[1], args[2]
    batch, heads, length, width = query.shape
    rows, columns = -(-length // 128) * 128, -(-width // 32) * 32
    sizes = [4 * batch * heads * rows * columns, 4 * batch * heads * rows]
    if key.shape[1] != heads:
        sizes += [batch * heads * key.shape[2] * width * key.element_size()] * 2
    return sizes


def _softmax_backward(args: Any, kwargs: Any, result: Any) -> list[int]:
    """`Tensor tmp = grad * output`."""
    return [args[0].numel() * args[0].element_size()]


def _logsumexp(args: Any, kwargs: Any, result: Any) -> list[int]:
    """`(self - maxes).exp_()` in `logsumexp_out_impl` of ATen/native/ReduceOps.cpp."""
    return [args[0].numel() * args[0].element_size()]


def _gemm_4bit(args: Any, kwargs: Any, result: Any) -> list[int]:
    """The dequantized weight and its scales: with training's many tokens a plain product follows."""
    outputs, inputs = args[2]
    sizes = [4 * outputs * inputs // args[4]] if kwargs.get("absmax_8bit") is not None else []
    if prod(args[0].shape[:-1]) <= 4:
        return []
    return [*sizes, outputs * inputs * args[0].element_size()]


def _int8_product(args: Any, kwargs: Any, result: Any) -> list[int]:
    """The product in 32-bit integers before it is scaled."""
    first, second = (args[1], args[2]) if len(args) > 5 else (args[0], args[1])
    return [4 * prod(first.shape[:-1]) * second.shape[0]]


RULES: dict[str, Callable[[Any, Any, Any], list[int]]] = {
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward": _flash_backward,
    "aten::_softmax_backward_data": _softmax_backward,
    "aten::logsumexp": _logsumexp,
    "bitsandbytes::gemm_4bit": _gemm_4bit,
    "bitsandbytes::int8_mixed_scaled_mm": _int8_product,
    "bitsandbytes::int8_scaled_mm": _int8_product,
}
