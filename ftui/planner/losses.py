"""What the loss costs: from whole logits to a chunk of them.  Bytes of one micro-batch.

Every term is a tensor of the implementation's forward or backward pass; the coefficients stand in `stack`.
"""

from __future__ import annotations

from typing import NamedTuple

from ftui.planner.activations import hidden_bytes
from ftui.planner.setup import Setup


class Loss(NamedTuple):
    """Bytes of the loss going forward, going backward, without gradients (evaluation), and what is left of it when the
    head's own backward begins."""

    forward: float
    backward: float
    evaluation: float
    left: float = 0.0


def loss_of(setup: Setup) -> Loss:
    """The terms of the loss implementation that the setup names."""
    sizes, tokens, compute = setup.geometry, setup.tokens, setup.compute_bytes
    match setup.loss:
        case "chunked":
            return _chunked_loss(setup)
        case "tiled":
            return _tiled_loss(setup)
        case "liger":
            chunk = 1 << max(0, (-(-tokens // -(-sizes.vocab // sizes.hidden)) - 1).bit_length())
            held = tokens * sizes.hidden * compute
            held += sizes.embedding * setup.weight_bytes * 2 if setup.full else 0
            forward = 2.0 * chunk * sizes.vocab * compute + held + tokens * 4
            return Loss(forward, float(held), forward)
        case "cut":
            return _cut_loss(setup)
        case _:
            head = 2.0 * sizes.embedding if setup.autocast and setup.weight_bytes == 4 else 0.0
            logits = tokens * sizes.vocab
            # Capped logits keep their hyperbolic tangent.
            capped = compute * logits if sizes.capped_logits else 0
            forward = (compute + setup.stack.full_logits_forward) * logits + head + capped
            left = (4.0 + compute) * logits + head + tokens * sizes.hidden * compute + capped
            return Loss(forward, setup.stack.full_logits_backward * logits + head + capped, forward, left)


def _chunked_loss(setup: Setup) -> Loss:
    """ftui's loss: hidden states, the trained ones' copy and their gradient, one chunk of logits, the head's gradient.

    Every token is taken to be trained, as in the rows that decide the peak it may well be.
    """
    sizes, tokens, width = setup.geometry, setup.tokens, setup.weight_bytes
    table = sizes.vocab * sizes.hidden
    size = setup.stack.chunk_bytes_cpu if setup.device == "cpu" else setup.stack.chunk_bytes
    rows = min(tokens, max(1, size // (4 * sizes.vocab)))
    # Per logit: its float32 value and the exponential that the normalizer is summed from; a capped one once more, and
    # its derivative in two steps.
    fresh = 16 if sizes.capped_logits else 8
    # A spent chunk is let go before the next one is made.
    chunk = float(rows * sizes.vocab * fresh)
    states = float(tokens * sizes.hidden * hidden_bytes(setup))
    cast = table * setup.compute_bytes if setup.autocast and width == 4 else 0
    made = 0.0
    if setup.full:
        # The head's float32 gradient, and while a chunk is added to it that chunk's product.
        product = table * setup.compute_bytes + rows * sizes.vocab * (4.0 + setup.compute_bytes)
        made, chunk = 4.0 * table, max(chunk, product)
    head = table * width if setup.full else 0
    kept = 17.0 * tokens  # labels, the mask of trained tokens and their places
    # Without gradients a chunk is the old one, the product in 16 bits and its float32 copy.
    unsaved = rows * sizes.vocab * (8.0 + (setup.compute_bytes if setup.compute_bytes == 2 else 0))
    return Loss(3 * states + chunk + cast + made + kept, 3 * states + head + kept, 2 * states + unsaved + cast + kept)


def _cut_loss(setup: Setup) -> Loss:
    """Apple's cut cross-entropy: blocks of logits live in the GPU's own registers, only sums per token are kept.

    Forward: the places of the trained tokens, their log-sums and targets, the mean logit of each vocabulary entry.
    Backward: a gradient of the hidden states, and of the head where it trains
    (apple/ml-cross-entropy, cut_cross_entropy/cce.py and cce_backward.py).
    """
    sizes, tokens = setup.geometry, setup.tokens
    kept = 24.0 * tokens + 4.0 * sizes.vocab
    made = float(tokens * sizes.hidden * setup.compute_bytes)
    made += sizes.embedding * setup.compute_bytes if setup.full else 0
    return Loss(kept, kept + made, kept)


def _tiled_loss(setup: Setup) -> Loss:
    """trl's fused head: tiles of tokens by vocabulary, made again going backward, with float32 accumulators."""
    sizes, tokens, compute, width = setup.geometry, setup.tokens, setup.compute_bytes, setup.weight_bytes
    columns = min(sizes.vocab, setup.stack.tile_vocabulary)
    table = sizes.vocab * sizes.hidden
    # However small the vocabulary is, the tile is made as wide as it ever gets.
    tile = float(min(tokens, setup.stack.tile_tokens) * setup.stack.tile_vocabulary) * compute
    if setup.device == "cpu":
        tile += setup.stack.tile_copies_cpu * 4 * min(tokens, setup.stack.tile_tokens) * columns
    cast = columns * sizes.hidden * compute if width == 4 and setup.autocast else 0
    inputs = float(tokens * sizes.hidden * compute)
    statistics = float(setup.stack.tile_statistics * tokens)
    accumulator = 4.0 * tokens * sizes.hidden
    grown = inputs + tile + cast + accumulator + (4 * table if setup.full else 0) + statistics
    handed_on = inputs + tile + accumulator + width * tokens * sizes.hidden + ((4 + width) * table if setup.full else 0)
    forward = tile + cast + inputs + statistics
    return Loss(forward, max(grown, handed_on), forward)
