"""What the training stack does with memory, as one versioned table of coefficients.

A peak is a fact about library versions as much as about a model: the same 8B LoRA step takes 20 GiB with trl's tiled
loss and 29 GiB with the plain one.  So every coefficient that was read off the libraries stands here, under the
versions it was read from, and nowhere else.  Names of the dimensions: H hidden width, I MLP width, Q = heads × head
size, K = key/value heads × head size, V vocabulary; a coefficient is in bytes per token unless it says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ftui.errors import BadInput


@dataclass(frozen=True)
class Transient:
    """What one layer's backward holds beyond its kept activations, in bytes per token: a sum over the widths.

    `gradient_share` is the share of this layer's weight gradients that exists at that moment (full tuning only).
    """

    hidden: float
    mlp: float
    query: float = 0.0
    key: float = 0.0
    gradient_share: float = 0.0


@dataclass(frozen=True)
class Stack:
    """The coefficients of one set of library versions."""

    name: str
    source: str
    versions: dict[str, str] = field(default_factory=dict)

    # How much of a layer's backward lives at once, by regime (see `memory.Regime`), read off traced steps.
    transient_shared: Transient = Transient(hidden=1.0, mlp=4.0)
    """Adapters in the activations' own number format: quantized bases under trl, everything in float32."""
    transient_autocast: Transient = Transient(hidden=9.0, mlp=6.0)
    """float32 adapters on a 16-bit base under autocast."""
    transient_cast: Transient = Transient(hidden=11.0, mlp=4.0)
    """float32 adapters on a 16-bit base without autocast: peft casts each adapted module's input."""
    transient_full: Transient = Transient(hidden=0.5, mlp=4.2, query=-0.4, key=-1.2, gradient_share=0.26)
    transient_full_fp32: Transient = Transient(hidden=-3.3, mlp=4.2, query=-0.4, key=-1.2, gradient_share=0.62)

    # ftui's own loss scores the trained tokens chunk by chunk and makes their gradients on the way forward.
    chunk_bytes: int = 256 << 20
    chunk_bytes_cpu: int = 32 << 20
    """float32 logits of one chunk (`ftui.worker.loss.CHUNK_BYTES`)."""

    # The fused head of trl >= 1.x scores the logits in tiles of tokens × vocabulary and never holds them whole.
    tile_tokens: int = 4096
    tile_vocabulary: int = 32_768
    tile_statistics: int = 36
    """Bytes per token of running maxima, sums, targets and log-probabilities beside the tiles."""
    tile_copies_cpu: float = 8.0
    """float32 copies of a tile that the torch fallback holds at once where there is no Triton."""

    # Full logits, bytes per token and vocabulary entry: 16-bit logits, float32 copy, log-softmax; then its gradient.
    full_logits_forward: float = 8.0
    full_logits_backward: float = 12.0

    foreach_optimizer: bool = False
    """AdamW loops over lists of tensors (torch's default on CUDA) in place of one fused kernel (transformers')."""
    optimizer_block: int = 256
    """Elements per float32 scale of an 8-bit optimizer state."""
    optimizer_8bit_minimum: int = 4096
    """Smaller tensors keep float32 states."""
    nf4_block: int = 64
    nf4_nested_block: int = 256

    # cuBLAS keeps a workspace for the main thread and one for autograd's.
    cublas_bytes: int = 2 * 8_519_680
    cublas_bytes_hopper: int = 2 * (32 << 20)

    process_bytes_cpu: int = 580 << 20
    """A CPU worker without its model: 484 MiB resident after the imports, 597 in a whole run of a 1 M-parameter one."""


CURRENT = Stack(
    name="2026-11",
    source="op inventories and traced training steps of these versions, met within 1 % over 56 configurations",
    versions={"torch": "2.13", "transformers": "5.23", "peft": "0.21", "trl": "1.16", "bitsandbytes": "0.50"},
)

STACKS: dict[str, Stack] = {stack.name: stack for stack in (CURRENT,)}
"""Every table by its name, the newest first."""


def stack_named(name: str) -> Stack:
    """The table that a recipe's compute.stack names; "current" is the newest.  Raises BadInput for an unknown one."""
    if name == "current":
        return CURRENT
    if name not in STACKS:
        raise BadInput(f"compute.stack: {name!r} is no library stack that ftui knows.",
                       f"Write current, or one of: {', '.join(STACKS)}.")
    return STACKS[name]
