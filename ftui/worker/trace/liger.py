"""Liger's fused linear cross-entropy where its kernels can't run: what it allocates."""

from __future__ import annotations

from typing import Any

import torch

from ftui.data.token_rows import UNTRAINED


def liger(model: Any, forward: Any, *args: Any, labels: torch.Tensor, **kwargs: Any) -> Any:
    """Stands in for `ftui.worker.loss._liger`."""
    from ftui.worker.loss import LossOutput

    hidden = model.base_model(*args, **kwargs, use_cache=False).last_hidden_state
    trained = labels[:, 1:] != UNTRAINED
    total = _LigerLoss.apply(hidden[:, :-1][trained], model.get_output_embeddings().weight)
    return LossOutput(loss=total, count=trained.sum())


class _LigerLoss(torch.autograd.Function):
    """Allocates what Liger's fused linear cross-entropy does: gradients chunk by chunk on the way forward.

    Chunk sizes as in liger_kernel/ops/fused_linear_cross_entropy.py: tokens × width over vocabulary, to a power of two.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        tokens, width = hidden.shape
        parts = -(-weight.shape[0] // width)
        rows = 1 << max(0, (-(-tokens // parts) - 1).bit_length())
        losses = torch.zeros(tokens, dtype=torch.float32, device=hidden.device)
        for_hidden = torch.zeros_like(hidden)
        for_weight = torch.zeros_like(weight) if weight.requires_grad else None
        for start in range(0, tokens, rows):
            chunk = hidden[start : start + rows]
            logits = chunk @ weight.t()
            for_hidden[start : start + rows] = logits @ weight
            if for_weight is not None:
                for_weight += logits.t() @ chunk
        ctx.save_for_backward(for_hidden, *(() if for_weight is None else (for_weight,)))
        return losses.sum()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        for_hidden, *rest = ctx.saved_tensors
        return for_hidden, rest[0] if rest else None
