"""What one decoder layer keeps for its backward pass, and what that backward holds on top.  Bytes per token.

Every term is a tensor that autograd saves in the layer's forward pass, so the sum can be read off the model's code:

* a norm keeps its float32 input (RMSNorm computes in float32), in full tuning also the normalized value;
* attention keeps query, key, value and output, and one float32 log-sum per head (flash and memory-efficient kernels);
  eager attention keeps the scores, tokens × tokens per head, in float32 and once more in 16 bits;
* the MLP keeps gate, activated gate and up (gated), or the input of the activation (plain); and, where the last
  projection trains or carries an adapter, its input;
* LoRA keeps the input of each adapter, once for all modules that share it if no cast and no dropout comes between,
  and its narrow middle.
"""

from __future__ import annotations

from dataclasses import dataclass

from ftui.planner.setup import Setup
from ftui.planner.stack import Transient


@dataclass(frozen=True)
class Layer:
    """`kept` and `transient` are bytes per token of one layer; `mlp_kept` is the MLP's share of `kept`.

    `fixed` is bytes per layer whatever the tokens (casts of weights), `scores` those of one layer's kept attention
    scores, `gradient_share` as in `stack.Transient`.
    """

    kept: float
    mlp_kept: float
    transient: float
    gradient_share: float
    fixed: float
    scores: float
    expert_gradient: float
    """Bytes of the gradient of the largest fused expert tensor that carries adapters."""


def layer(setup: Setup) -> Layer:
    """One decoder layer of this setup."""
    kept_mlp = _mlp(setup)
    kept = _norms(setup) + _attention(setup) + kept_mlp + (_inputs(setup) if setup.full else _adapters(setup))
    transient = regime(setup)
    sizes = setup.geometry
    width = (
        transient.hidden * sizes.hidden + transient.mlp * token_mlp(setup)
        + transient.query * sizes.query + transient.key * sizes.key
    )
    return Layer(
        kept=kept, mlp_kept=kept_mlp, transient=max(0.0, width) * (2 if setup.compute_bytes == 4 else 1),
        gradient_share=transient.gradient_share, fixed=_casts(setup), scores=_scores(setup),
        expert_gradient=float(setup.compute_bytes * max(
            (t.weights * t.per_layer for t in setup.targets if t.packed), default=0
        )),
    )


def regime(setup: Setup) -> Transient:
    """Which of the traced regimes a setup trains in."""
    if setup.full:
        return setup.stack.transient_full if setup.weight_bytes == 2 else setup.stack.transient_full_fp32
    if setup.adapter_bytes == setup.compute_bytes:
        return setup.stack.transient_shared
    return setup.stack.transient_autocast if setup.autocast else setup.stack.transient_cast


def token_mlp(setup: Setup) -> int:
    """The MLP width that one token sees: with experts, those it is routed to."""
    sizes = setup.geometry
    return sizes.expert_mlp * sizes.experts_per_token if sizes.experts_per_token else sizes.mlp


def _norms(setup: Setup) -> float:
    sizes, compute = setup.geometry, setup.compute_bytes
    if sizes.rms:
        kept = sizes.norms * 4 * sizes.hidden
        if setup.full:
            kept += sizes.norms * (compute if setup.weight_bytes == 2 else 4) * sizes.hidden
    else:
        kept = sizes.norms * (4 if setup.autocast else compute) * sizes.hidden
    if sizes.qk_norm:
        kept += 4 * (sizes.query + sizes.key) + 4 * (sizes.heads + sizes.kv_heads)
        kept += compute * (sizes.query + sizes.key) if setup.full else 0
    return kept


def _attention(setup: Setup) -> float:
    sizes, compute = setup.geometry, setup.compute_bytes
    # A mask rules out grouped-query kernels, so transformers repeats keys and values for every query head.
    key = sizes.query if setup.attention == "eager" or (setup.padded and setup.attention == "sdpa") else sizes.key
    fused = compute * (sizes.query + sizes.key) if sizes.fused_attention else 0
    return (2 * sizes.query + 2 * key) * compute + fused + 4 * sizes.heads


def _scores(setup: Setup) -> float:
    """Bytes of one layer's attention scores kept: none, unless the kernel is one that holds them."""
    if not holds_scores(setup):
        return 0.0
    per_score = 16 if setup.attention != "eager" and setup.device == "cpu" else (
        4 + setup.compute_bytes if setup.compute_bytes == 2 else 4
    )
    return float(per_score) * setup.geometry.heads * setup.tokens * setup.length


def holds_scores(setup: Setup) -> bool:
    """Eager attention does; so does SDPA where there is no fused kernel for it.

    That is float32 with grouped heads on CUDA, and dropout inside attention on a CPU.
    """
    if setup.attention == "eager" or (setup.device == "cpu" and setup.geometry.attention_dropout):
        return True
    grouped = setup.geometry.key < setup.geometry.query
    return setup.device == "cuda" and setup.compute_bytes == 4 and grouped and not setup.padded


def _mlp(setup: Setup) -> float:
    sizes, compute = setup.geometry, setup.compute_bytes
    width = token_mlp(setup)
    last = setup.full or any(t.place == "mlp out" for t in setup.targets)
    tensors = (3 if sizes.gated else sizes.gelu_copies) + (1 if last and setup.full else 0)
    kept = tensors * compute * width
    if sizes.experts_per_token:
        # Tokens are sorted by expert and their outputs weighted: the routed input and output are kept per expert.
        kept += 2 * compute * sizes.hidden * sizes.experts_per_token
    return kept


def _inputs(setup: Setup) -> float:
    """Full tuning: the inputs of the linear modules that nothing else keeps (after either norm).

    Autocast makes a 16-bit copy of a float32 input for each module: query, key, value, gate and up.
    """
    copies = 5 if setup.autocast and setup.weight_bytes == 4 else 2
    return copies * setup.compute_bytes * setup.geometry.hidden


def _adapters(setup: Setup) -> float:
    compute = setup.compute_bytes
    cast = setup.adapter_bytes != compute
    saved = compute if setup.autocast or not cast else 4
    kept = 0.0
    shared: set[str] = set()
    for target in setup.targets:
        if target.packed:
            continue  # peft adds these adapters to the weights themselves: see `_casts`
        per_token = target.per_layer if target.per_layer == 1 else max(1, setup.geometry.experts_per_token)
        if setup.dropout:
            # The mask is a byte per element on CUDA; on a CPU it has the input's own format.
            mask = 1 if setup.device == "cuda" else setup.adapter_bytes
            kept += per_token * (saved + mask) * target.inputs
        elif cast:
            kept += per_token * saved * target.inputs
        elif target.place != "attention out" and target.place not in shared:
            shared.add(target.place)
            kept += per_token * saved * target.inputs
        kept += per_token * setup.rank * saved
        if setup.dora:
            kept += per_token * 2 * compute * target.outputs
    return kept


def _casts(setup: Setup) -> float:
    """Weights that are made anew and kept while a layer's backward is ahead: autocast's 16-bit ones, and experts with
    their adapters added."""
    fixed = float(setup.compute_bytes * sum(t.weights * t.per_layer for t in setup.targets if t.packed))
    if setup.autocast and setup.weight_bytes == 4:
        fixed += 2 * setup.geometry.layer_weights
    if setup.autocast and not setup.full and setup.adapter_bytes == 4:
        fixed += 2 * sum(
            t.per_layer * setup.rank * t.ranks * (t.inputs + t.outputs) for t in setup.targets
        )
    return fixed
