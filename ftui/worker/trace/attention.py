"""Which attention kernel CUDA would take, and its traces in memory, on tensors that say they are on the CPU.

The rules are those of torch's ATen/native/transformers/cuda/sdp_utils.cpp (torch 2.13).  The CPU's own fused kernel
keeps for its backward what CUDA's flash, mem-efficient and cuDNN kernels keep: query, key, value, output, one float32
per row, and the additive mask where there is one.
"""

from __future__ import annotations

from typing import Any

import torch

from ftui.worker.trace.workspace import Capability

aten = torch.ops.aten
HALF = (torch.bfloat16, torch.float16)


def is_fused(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, dropout: float,
    capability: Capability, float16: bool,
) -> bool:
    """Whether a fused kernel serves the call; else the scores of every pair of tokens are built and kept."""
    width, same = query.shape[-1], query.shape[-1] == key.shape[-1] == value.shape[-1]
    half, grouped = query.dtype in HALF, query.shape[-3] != key.shape[-3]
    narrow = capability in ((8, 6), (8, 9)) or capability[0] == 12
    flash = (
        mask is None and half and same and width <= 256 and capability >= (8, 0)
        and not (narrow and (192 < width <= 224 or (width > 224 and dropout > 0)))
    )
    # Preferred on Hopper and Blackwell, where it also takes masks.
    cudnn = half and capability[0] in (9, 10) and same and width <= 128 and width % 8 == 0
    alignment = 8 if half and capability >= (7, 0) else 4 if capability >= (8, 0) else 1
    efficient = (
        not grouped and query.shape[-1] == key.shape[-1] and width % alignment == 0 and value.shape[-1] % alignment == 0
        and (capability >= (8, 0) or not half or float16)
    )
    return flash or cudnn or efficient


def cuda_attention(plain: Any, capability: Capability, float16: bool) -> Any:
    """`torch.nn.functional.scaled_dot_product_attention` as CUDA would dispatch it."""

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            # Attention is on autocast's list, also of CUDA.
            query, key, value = (each.to(torch.get_autocast_dtype("cpu")) for each in (query, key, value))
        if query.dim() == 4 and is_fused(query, key, value, attn_mask, dropout_p, capability, float16):
            if value.shape[-1] != query.shape[-1]:
                # The CPU's kernel wants equal widths where the mem-efficient one doesn't.
                uneven: torch.Tensor = _Uneven.apply(query, key, value, attn_mask)
                return uneven
            # CUDA's kernels draw the dropout's mask anew going backward; the CPU's have none and would keep the scores.
            found: torch.Tensor = plain(
                query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
            )
            return found
        output: torch.Tensor = aten._scaled_dot_product_attention_math(
            query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale, enable_gqa=enable_gqa
        )[0]
        return output

    return attention


class _Uneven(torch.autograd.Function):
    """Allocates what the mem-efficient kernel does for values of another width than the queries' (multi-head latent
    attention).
    """

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
        batch, heads, length, _ = query.shape
        output = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        rows = torch.empty(batch, heads, -(-length // 32) * 32, dtype=torch.float32, device=query.device)
        ctx.save_for_backward(query, key, value, output, rows, *(() if mask is None else (mask,)))
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        query, key, value, *_ = ctx.saved_tensors
        accumulator = torch.empty(query.shape, dtype=torch.float32, device=query.device)
        gradients = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value), None
        del accumulator
        return gradients


def fused_softmax(plain: Any) -> Any:
    """CUDA reads float16 and writes float32 in one kernel (`at::softmax` in ATen/native/SoftMax.cpp)."""

    def softmax(input: torch.Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> torch.Tensor:
        if dtype == torch.float32 and input.dtype in HALF and dim is not None:
            result: torch.Tensor = _FusedSoftmax.apply(input)
            return result
        ordinary: torch.Tensor = plain(input, dim=dim, dtype=dtype)
        return ordinary

    return softmax


class _FusedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor) -> torch.Tensor:
        output = torch.empty_like(scores, dtype=torch.float32)
        ctx.save_for_backward(output)
        ctx.kind = scores.dtype
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (output,) = ctx.saved_tensors
        product = gradient * output
        result = torch.empty_like(output, dtype=ctx.kind)
        del product
        return result
