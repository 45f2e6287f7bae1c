"""The cross-entropy of a language model, by default without its logits: trained tokens only, a chunk at a time.

A plain loss holds float32 logits of every token times the whole vocabulary, several times over.  Here a chunk's logits
give its loss and at once its gradient with respect to the hidden states (and the head, where that trains), and are
forgotten: one chunk is held, nothing is computed twice, untrained tokens cost nothing.

The other implementations that a recipe's train.loss can name are what the libraries have: transformers' plain loss
(full), trl's fused head (tiled) and Liger's kernels (liger).
"""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils import ModelOutput

from ftui.data.token_rows import UNTRAINED
from ftui.units import MiB

CHUNK_BYTES = {"cpu": 32 * MiB, "cuda": 256 * MiB}
"""Size of one chunk's float32 logits: large enough that a GPU works at full speed, small beside everything else."""


@dataclass(frozen=True)
class Weighting:
    """What the chunked loss of a token is besides its negative log-likelihood; an evaluation measures that alone.

    `dft` weighs it by the token's own probability, through which no gradient passes (https://arxiv.org/abs/2508.05629);
    `smoothing` is the share of the wanted probability that is spread over the whole vocabulary.
    """

    dft: bool = False
    smoothing: float = 0.0


PLAIN = Weighting()


@dataclass
class LossOutput(ModelOutput):
    """What a model gives when called with `summed_loss=True`."""

    loss: torch.Tensor | None = None
    """The sum of the negative log-likelihoods over the trained tokens, float32."""
    count: torch.Tensor | None = None
    """How many tokens were trained."""


def add_loss(model: Any, kind: str = "chunked", weighting: Weighting = PLAIN) -> None:
    """Teach `model` (a causal language model of transformers, not yet wrapped) to take `summed_loss=True`.

    Then `model(..., labels=labels, summed_loss=True)` returns a `LossOutput` by the implementation that `kind` names;
    without it, nothing is changed.  It goes through `forward`, so that what wraps the model (autocast, hooks, data
    parallelism) works as ever.  "tiled" needs trl's `add_fused_lm_head` before; `weighting` is for "chunked" alone.
    """
    plain_forward = model.forward
    chunked = functools.partial(_chunked, weighting)
    summed: Any = {"chunked": chunked, "full": _full, "tiled": _tiled, "liger": _liger}[kind]

    # generate() checks its arguments against the signature of the class.
    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, summed_loss: bool = False, **kwargs: Any) -> Any:
        if summed_loss and kwargs.get("output_hidden_states"):
            # X-LoRA looks at the base model's hidden states first, with all that its second pass is given.
            return plain_forward(*args, **{**kwargs, "labels": None})
        if not summed_loss:
            return plain_forward(*args, **kwargs)
        return summed(self, plain_forward, *args, **kwargs)

    model.forward = types.MethodType(forward, model)


def _chunked(
    weighting: Weighting, model: Any, forward: Any, *args: Any, labels: torch.Tensor, **kwargs: Any
) -> LossOutput:
    hidden = model.base_model(*args, **kwargs, use_cache=False).last_hidden_state
    return trained_loss(
        hidden, labels, model.get_output_embeddings(), model.config.get_text_config(),
        weighting if model.training else PLAIN,
    )


def _full(model: Any, forward: Any, *args: Any, labels: torch.Tensor, **kwargs: Any) -> LossOutput:
    """transformers' own loss: the logits of every token, in float32."""
    loss = forward(*args, labels=labels, num_items_in_batch=1, use_cache=False, **kwargs).loss
    return LossOutput(loss=loss, count=(labels[:, 1:] != UNTRAINED).sum())


def _tiled(model: Any, forward: Any, *args: Any, labels: torch.Tensor, **kwargs: Any) -> LossOutput:
    """trl's fused head, with what its trainer has it compute besides."""
    output = forward(*args, labels=labels, num_items_in_batch=1, fused_lm_head=True, **kwargs)
    return LossOutput(loss=output.loss, count=output.label_mask.sum())


def _liger(model: Any, forward: Any, *args: Any, labels: torch.Tensor, **kwargs: Any) -> LossOutput:
    """Liger's fused linear cross-entropy; it takes no factor on the logits, so the hidden states carry it."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    hidden = model.base_model(*args, **kwargs, use_cache=False).last_hidden_state
    head, trained = model.get_output_embeddings(), labels[:, 1:] != UNTRAINED
    cap, factor = scaling(model.config.get_text_config())
    kept = hidden[:, :-1][trained]
    loss = LigerFusedLinearCrossEntropyLoss(reduction="sum", softcap=cap)
    total = loss(
        weight_of(head), kept if factor == 1.0 else kept * factor, labels[:, 1:][trained], getattr(head, "bias", None)
    )
    return LossOutput(loss=total, count=trained.sum())


def trained_loss(
    hidden: torch.Tensor, labels: torch.Tensor, head: torch.nn.Module, config: Any, weighting: Weighting = PLAIN
) -> LossOutput:
    """Summed next-token loss of `hidden` (batch, length, width) for `labels` (batch, length; -100 is not trained)."""
    total = token_losses(hidden[:, :-1], labels[:, 1:], head, config, weighting)
    return LossOutput(loss=total, count=(labels[:, 1:] != UNTRAINED).sum())


def token_losses(
    hidden: torch.Tensor, labels: torch.Tensor, head: torch.nn.Module, config: Any, weighting: Weighting = PLAIN
) -> torch.Tensor:
    """The summed losses of `labels` (batch, length; -100 is not trained), each predicted by `hidden` at its place."""
    trained = labels != UNTRAINED
    kept = hidden[trained]
    total: torch.Tensor = _ChunkedCrossEntropy.apply(
        kept, weight_of(head), getattr(head, "bias", None), labels[trained].to(kept.device), *scaling(config), weighting
    )
    return total


def weight_of(head: Any) -> torch.Tensor:
    """The head's weight, with the rows of trained tokens in it where it is tied to an embedding that has such."""
    if hasattr(head, "get_merged_weights") and not head.disable_adapters:
        merged: torch.Tensor = head.get_merged_weights(head.active_adapters)
        return merged
    weight: torch.Tensor = head.weight
    return weight


def scaling(config: Any) -> tuple[float | None, float]:
    """(soft cap, factor) of the logits: Gemma 2 caps them, Cohere multiplies, Granite and MiniCPM divide."""
    cap = getattr(config, "final_logit_softcapping", None)
    if (factor := getattr(config, "logit_scale", None)) is None:
        divisor = getattr(config, "logits_scaling", None)
        factor = 1.0 if divisor is None else 1.0 / divisor
    return cap, factor


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(logits)[target], weighted.

    The gradients are computed on the way forward and scaled on the way back.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        cap: float | None,
        factor: float,
        weighting: Weighting,
    ) -> torch.Tensor:
        device = hidden.device.type
        compute = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        for_hidden, for_weight, for_bias = ctx.needs_input_grad[:3]
        matrix = weight.to(compute)
        hidden_gradient = torch.empty_like(hidden) if for_hidden else None
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if for_weight else None
        bias_gradient = torch.zeros_like(bias, dtype=torch.float32) if for_bias and bias is not None else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = max(1, CHUNK_BYTES.get(device, CHUNK_BYTES["cuda"]) // (4 * weight.shape[0]))
        with torch.autocast(device, enabled=False):
            for start in range(0, len(targets), rows):
                part = slice(start, start + rows)
                inputs, wanted = hidden[part].to(compute), targets[part, None]
                logits = torch.nn.functional.linear(inputs, matrix, None if bias is None else bias.to(compute)).float()
                if factor != 1.0:
                    logits.mul_(factor)
                if cap is not None:
                    logits.div_(cap).tanh_().mul_(cap)
                capped = logits.clone() if cap is not None and any(ctx.needs_input_grad) else None
                normalizer = torch.logsumexp(logits, dim=-1, keepdim=True)
                likelihood = logits.gather(-1, wanted) - normalizer
                own = likelihood.exp() if weighting.dft else torch.ones_like(likelihood)
                share = weighting.smoothing
                losses = -likelihood
                if share:
                    losses = (1 - share) * losses + share * (normalizer - logits.mean(-1, keepdim=True))
                total += (losses * own).sum()
                if not any(ctx.needs_input_grad):
                    continue
                gradient = logits.sub_(normalizer).exp_()
                gradient.scatter_add_(-1, wanted, torch.full_like(wanted, share - 1, dtype=gradient.dtype))
                if share:
                    gradient.sub_(share / gradient.shape[-1])
                if weighting.dft:
                    gradient.mul_(own)
                if capped is not None and cap is not None:
                    gradient.mul_(1 - (capped / cap).square_())
                if factor != 1.0:
                    gradient.mul_(factor)
                scores = gradient.to(compute)
                if hidden_gradient is not None:
                    hidden_gradient[part] = scores @ matrix
                if weight_gradient is not None:
                    weight_gradient += scores.t() @ inputs
                if bias_gradient is not None:
                    bias_gradient += gradient.sum(0)
                # Else they would stay, as large as a chunk each, while the next one's are made.
                del logits, gradient, scores, normalizer, capped
        ctx.gradients = (
            hidden_gradient,
            None if weight_gradient is None else weight_gradient.to(weight.dtype),
            None if bias_gradient is None or bias is None else bias_gradient.to(bias.dtype),
        )
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        parts = [None if part is None else part.mul_(gradient.to(part.dtype)) for part in ctx.gradients]
        # A second pass backward through the same loss would scale them twice.
        ctx.gradients = None
        return (*parts, None, None, None, None)
