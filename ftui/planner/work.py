"""What one optimizer step does: products in 16 bits and in float32, bytes moved, kernels started, part by part.

The products follow from the shapes.  A weight is multiplied forward, for its input's gradient and, where it trains, for
its own: 2, 2 and 2 operations per element and token.  A frozen weight skips the last, an adapter adds its own six,
checkpointing repeats the forward pass of each layer but its last product (torch stops recomputing once all that was
saved is there).  Attention makes two products per pair of query and key forward and five backward; a kernel told
"causal" skips half of the pairs, one given a mask does not.

Bytes and kernels are counted off dispatched steps of torch 2.13, transformers 5.23 and peft 0.21
(`benchmarks/planner/work.py` counts them again): every operation that is no view reads its inputs, writes its outputs
and starts one kernel.  The table of `Traffic` holds them as bytes per token and unit of width; they come out the same,
whatever the model's sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ftui.planner.activations import token_mlp
from ftui.planner.geometry import Geometry, Target
from ftui.planner.partial import reaches, trained_share
from ftui.planner.setup import Setup
from ftui.planner.states import muon_matrices, trainable_parameters, trained_bytes


class Work(NamedTuple):
    """Work in floating-point operations, bytes and kernels.

    Of the bytes, `weights` are what matrix products read and write of their weights, which hides behind the product
    where that is large; `stream` is what passes once over whole weights, optimizer states or caches and so never stays
    in a cache; `codes` is what turns quantized weights into 16 bits.
    """

    half: float = 0.0
    single: float = 0.0
    moved: float = 0.0
    kernels: float = 0.0
    weights: float = 0.0
    stream: float = 0.0
    codes: float = 0.0

    def plus(self, other: Work, times: float = 1.0) -> Work:
        """The sum with `times` of the other."""
        return Work(
            self.half + times * other.half, self.single + times * other.single, self.moved + times * other.moved,
            self.kernels + times * other.kernels, self.weights + times * other.weights,
            self.stream + times * other.stream, self.codes + times * other.codes,
        )

    @property
    def products(self) -> float:
        """Floating-point operations in both formats."""
        return self.half + self.single


class Batch(NamedTuple):
    """What goes through the model in one optimizer step of one device: `tokens` as computed, padding included, `pairs`
    of query and key in one head, `scored` tokens in the loss, and in how many passes."""

    tokens: float
    pairs: float
    scored: float
    passes: int = 1


@dataclass(frozen=True)
class Traffic:
    """Bytes per token, by the widths that a layer's operations have: hidden, MLP, query, key/value; forward and
    backward.  `kernels` are those of one layer, `norm` what each norm has in it, backward again."""

    forward: tuple[float, float, float, float]
    backward: tuple[float, float, float, float]
    kernels: tuple[int, int]
    norm: tuple[float, float]
    trained: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """What the gradients of weights and norms add backward in full tuning."""


class Adapter(NamedTuple):
    """Bytes per token of one adapted module: per input, output and rank, forward and backward, and its kernels."""

    inputs: tuple[float, float]
    outputs: tuple[float, float]
    rank: tuple[float, float]
    kernels: tuple[int, int]


HALF = Traffic((98, 16, 31, 28), (212, 24, 47, 44), (38, 60), (36, 84), trained=(30, 6, 4, 4))
"""16-bit activations; a frozen base, with what full tuning adds."""
SINGLE = Traffic((108, 32, 62, 56), (239, 48, 94, 88), (34, 56), (28, 90), trained=(61, 12, 8, 8))
AUTOCAST = Traffic((120, 16, 50, 44), (270, 24, 76, 70), (48, 71), (36, 84), trained=(44, 6, 4, 4))
"""float32 weights and residuals under autocast: full tuning in float16."""

SHARED = Adapter((2, 10), (12, 8), (8, 11), (4, 6))
"""Adapters in the activations' 16-bit format."""
CAST = Adapter((14, 22), (12, 8), (8, 11), (8, 10))
"""float32 adapters under autocast: their input is cast up and down again."""
ALL_SINGLE = Adapter((4, 20), (24, 16), (19, 26), (4, 6))
DROPOUT = (9.0, 9.0)
"""Forward and backward bytes per token and adapter input: values and a byte of mask, read and written."""

LOGIT_BYTES = {"chunked": 47.5, "full": 48.0, "tiled": 24.0, "liger": 12.0, "cut": 4.0}
"""Bytes per scored token and vocabulary entry, forward and backward.  Those of trl's tiles, Liger and Apple are read
off their Triton kernels, which keep a tile on the chip; the others are counted."""
HEAD_PASSES = {"chunked": 2, "full": 2, "tiled": 3, "liger": 2, "cut": 3}
"""Products with the head per scored token, its own gradient left out: trl's tiles and Apple's are computed again going
backward."""
HEAD_KERNELS = 60
"""Embedding, rotary tables, final norm, loss, and their gradients."""
DEQUANTIZED = {"nf4": 2.6, "fp4": 2.6, "int8": 3.0}
"""Bytes read and written to turn one quantized weight into 16 bits: its code and scale, and two bytes."""
DEQUANTIZE_KERNELS = 3
OPTIMIZER_PASSES = {
    "adamw": 7.0, "paged_adamw": 7.0, "lion": 5.0, "sgd": 3.0, "adafactor": 9.0, "galore": 7.0,
    "rmsprop": 7.0, "ademamix": 9.0, "ademamix_8bit": 3.0, "muon": 8.0, "schedule_free": 10.0,
    "adamw_8bit": 3.0, "paged_adamw_8bit": 3.0, "lion_8bit": 3.0, "paged_lion_8bit": 3.0,
}
"""Widths of a trained element read and written by the optimizer; the fused AdamW reads four and writes three."""
STATES_8BIT = {
    "adamw_8bit": 4.0, "paged_adamw_8bit": 4.0, "lion_8bit": 2.0, "paged_lion_8bit": 2.0, "ademamix_8bit": 6.0,
}
"""Bytes of 8-bit states read and written per element."""
MUON_ROUNDS = 5
"""Of Newton and Schulz's iteration in bfloat16 (torch/optim/_muon.py)."""
CLIPPING_PASSES = 3.0
"""Clipping reads all gradients for their norm, then reads and writes them."""


def batch_of(setup: Setup) -> Batch:
    """The largest micro-batch alone, every token scored: what a trace runs."""
    rows = setup.rows * setup.sequences
    scored = rows * max(1, setup.length - max(1, setup.prompt))
    return Batch(float(setup.tokens), float(rows * setup.length**2), float(scored))


def step_work(setup: Setup, batch: Batch) -> Work:
    """All the work of one optimizer step on one device."""
    return total(parts(setup, batch))


def total(parts: dict[str, Work]) -> Work:
    """The sum of all parts."""
    return Work(*map(sum, zip(*parts.values(), strict=True)))


def parts(setup: Setup, batch: Batch) -> dict[str, Work]:
    """The work of one optimizer step by part; parts that a setup has not are left out."""
    sizes, tokens = setup.geometry, batch.tokens
    traffic = traffic_of(setup)
    active = active_weights(setup)
    forward, backward = _layers(setup, batch, traffic, active)
    attention = _attention(setup, batch)
    share = reaches(setup.options, sizes) / sizes.layers
    found = {"forward": forward, "attention": attention.plus(attention, 2.5 * share)}
    if trained := 1.0 if setup.full else trained_share(setup.options, sizes):
        written = _read(setup, batch)
        moved = _widths(sizes, traffic.trained, token_mlp(setup)) * tokens * sizes.layers + written
        whole = _products(setup, 2.0 * active * tokens, moved, 11 * sizes.layers * batch.passes, written)
        found["weight gradients"] = Work().plus(whole, trained)
    found["input gradients"] = Work().plus(backward, share)
    adapters = _adapters(setup, batch)
    if adapters is not None:
        found["adapters"] = adapters[0].plus(adapters[1])
    if setup.checkpointing:
        again = forward.plus(_last_product(setup, batch), -1.0).plus(attention)
        again = again if adapters is None else again.plus(adapters[0])
        found["recomputation"] = Work().plus(again, min(share, setup.layers_again / sizes.layers))
    if setup.quantization != "none":
        found["dequantization"] = _dequantization(setup, batch)
    found["head and loss"] = _head(setup, batch)
    if setup.reference in ("adapter off", "copy"):
        found["reference"] = evaluation_work(setup, batch)
    if setup.second_parameters:
        found["second model"] = Work(
            half=2.0 * setup.second_parameters * batch.tokens, moved=2.0 * setup.second_parameters * batch.passes,
            weights=2.0 * setup.second_parameters * batch.passes,
        )
    if setup.generated_rows:
        found["generation"] = Work(*(each / setup.served_steps for each in _generation(setup, active)))
    found["optimizer"] = _optimizer(setup)
    return found


def evaluation_work(setup: Setup, batch: Batch) -> Work:
    """A forward pass over `batch` that keeps nothing."""
    forward, _ = _layers(setup, batch, traffic_of(setup), active_weights(setup))
    sizes = setup.geometry
    head = _products(setup, 2.0 * sizes.vocab * sizes.hidden * batch.scored, 18.0 * sizes.vocab * batch.scored, 20, 0.0)
    whole = forward.plus(_attention(setup, batch)).plus(head)
    adapters = _adapters(setup, batch)
    return whole if adapters is None else whole.plus(adapters[0])


def traffic_of(setup: Setup) -> Traffic:
    """The row of the table that a setup's number formats ask for."""
    if setup.compute_bytes == 4:
        return SINGLE
    return AUTOCAST if setup.weight_bytes == 4 else HALF


def active_weights(setup: Setup) -> int:
    """Elements of linear weights that one token is multiplied with: of experts, those it is routed to."""
    sizes = setup.geometry
    if not sizes.experts_per_token:
        return sizes.linear_weights
    plain = sum(t.weights * t.count for t in sizes.targets if t.per_layer == 1 and not t.packed)
    return int(plain + (3 if sizes.gated else 2) * sizes.hidden * token_mlp(setup) * sizes.layers)


def _layers(setup: Setup, batch: Batch, traffic: Traffic, active: int) -> tuple[Work, Work]:
    """The layers forward, and backward as far as the gradients of their inputs go."""
    sizes, layers = setup.geometry, setup.geometry.layers
    mlp, passes = token_mlp(setup), batch.passes
    products = 2.0 * active * batch.tokens
    norms = sizes.norms - 2
    qk = (sizes.query + sizes.key) / sizes.hidden if sizes.qk_norm else 0.0
    read = _read(setup, batch)
    works = []
    for widths, kernels, norm in zip((traffic.forward, traffic.backward), traffic.kernels, traffic.norm, strict=True):
        each = _widths(sizes, widths, mlp) + (norms + qk) * norm * sizes.hidden
        if sizes.experts_per_token:
            # Tokens are gathered by expert, their results weighted, scattered and summed.
            each += 12.0 * sizes.hidden * sizes.experts_per_token * setup.compute_bytes / 2
        count = (kernels + 8 * (norms + (2 if sizes.qk_norm else 0)) + (20 if sizes.experts_per_token else 0))
        works.append(_products(setup, products, each * layers * batch.tokens + read, count * layers * passes, read))
    forward, backward = works
    if not setup.full and not setup.checkpointing:
        # Nothing before the first layer's projections trains, so their inputs need no gradient.
        first = sum(t.weights for t in sizes.targets if t.place == "attention in" and not t.packed)
        backward = backward.plus(_products(setup, 2.0 * first * batch.tokens, 0.0, 0, 0.0), -1.0)
    return forward, backward


def _read(setup: Setup, batch: Batch) -> float:
    """Bytes of linear weights that a pass over all layers reads, each expert's if any token meets it."""
    sizes = setup.geometry
    return float(batch.passes * (sizes.linear_weights + sizes.packed_weights) * setup.compute_bytes)


def _widths(sizes: Geometry, each: tuple[float, float, float, float], mlp: int) -> float:
    hidden, wide, query, key = each
    if not sizes.gated:
        wide *= 0.6
    return hidden * sizes.hidden + wide * mlp + query * sizes.query + key * sizes.key


def _products(setup: Setup, operations: float, moved: float, kernels: float, weights: float) -> Work:
    """Work whose products are in the format that the setup computes in."""
    if setup.compute_bytes == 2:
        return Work(operations, 0.0, moved, kernels, weights)
    return Work(0.0, operations, moved, kernels, weights)


def _last_product(setup: Setup, batch: Batch) -> Work:
    """What recomputing a layer leaves out: the product at its end, for a frozen one the adapter's there."""
    sizes = setup.geometry
    last = [t for t in (sizes.targets if setup.full else setup.targets) if t.place == "mlp out" and not t.packed]
    if not last:
        return Work()
    each = sum((t.weights if setup.full else setup.rank * t.outputs) * t.count for t in last)
    share = 1 if last[0].per_layer == 1 else max(1, sizes.experts_per_token) / last[0].per_layer
    moved = (8.0 if setup.full else 18.0) * sizes.hidden * sizes.layers * batch.tokens
    return _products(setup, 2.0 * each * share * batch.tokens, moved, 2 * sizes.layers * batch.passes, 0.0)


def _attention(setup: Setup, batch: Batch) -> Work:
    """Scores and their product with the values, forward; going backward is two and a half times as much.

    Sliding layers skip what lies outside of their window in a kernel that knows of it; under a mask they do not.
    """
    sizes = setup.geometry
    causal = setup.attention == "flash_attention_2" or (setup.attention == "sdpa" and not setup.padded)
    pairs = batch.pairs * (0.5 if causal else 1.0)
    moved = 0.0
    if setup.attention == "eager":
        # The scores are written, masked, upcast, turned into weights, cast down and read again.
        moved = 26.0 * sizes.heads * batch.pairs * sizes.layers
    elif setup.padded and setup.attention == "sdpa" and sizes.key < sizes.query:
        # A mask rules out grouped kernels: keys and values are repeated for each query head.
        moved = 4.0 * setup.compute_bytes * sizes.query * batch.tokens * sizes.layers
    return _products(setup, 4.0 * sizes.query * pairs * sizes.layers, moved, 0, 0.0)


def _adapters(setup: Setup, batch: Batch) -> tuple[Work, Work] | None:
    """The adapters forward and backward; None in full tuning."""
    if setup.full or not setup.targets:
        return None
    tokens, passes, rank, sums = batch.tokens, batch.passes, setup.rank, _summed(setup.targets, setup.geometry)
    shape = ALL_SINGLE if setup.compute_bytes == 4 else SHARED if setup.adapter_bytes == 2 else CAST
    works = []
    for way in (0, 1):
        inputs = shape.inputs[way] + (DROPOUT[way] if setup.dropout else 0.0)
        outputs = shape.outputs[way] + (3 * setup.compute_bytes if setup.dora else 0)
        moved = tokens * (inputs * sums.inputs + outputs * sums.outputs + shape.rank[way] * rank * sums.modules)
        products = 2.0 * (way + 1) * rank * (sums.inputs + sums.outputs) * tokens
        # peft adds the adapters of fused experts to the weights themselves, each time anew.
        products += 2.0 * (way + 1) * rank * sums.fused_ranks * passes
        moved += 3.0 * setup.compute_bytes * sums.fused * passes
        if setup.dora and way == 0:
            # The norm of each output row of weight plus adapter, computed from both whole.
            products += 2.0 * rank * sums.norms * passes
            moved += 10.0 * sums.weights * passes
        kernels = (shape.kernels[way] + (15 if setup.dora else 0)) * sums.number * passes
        if setup.options is not None:
            products = 2.0 * (way + 1) * setup.adapter_parameters * tokens
        weights = float(setup.adapter_parameters * setup.compute_bytes * passes * (way + 1))
        works.append(_products(setup, products, moved + weights, kernels, weights))
    return works[0], works[1]


class Summed(NamedTuple):
    """Sums over the adapted modules; of experts those that a token is routed to count, fused ones apart."""

    inputs: float
    outputs: float
    modules: float
    number: int
    weights: float
    norms: float
    """Inputs times both widths: the work of a norm over weight plus adapter, per rank."""
    fused: int
    fused_ranks: int


@lru_cache(maxsize=64)
def _summed(targets: tuple[Target, ...], sizes: Geometry) -> Summed:
    plain, fused = [t for t in targets if not t.packed], [t for t in targets if t.packed]
    seen = [t.count * (1.0 if t.per_layer == 1 else max(1, sizes.experts_per_token) / t.per_layer) for t in plain]
    both = list(zip(seen, plain, strict=True))
    return Summed(
        inputs=sum(n * t.inputs for n, t in both), outputs=sum(n * t.outputs for n, t in both), modules=sum(seen),
        number=sum(t.count for t in plain), weights=sum(n * t.weights for n, t in both),
        norms=sum(n * t.inputs * (t.inputs + t.outputs) for n, t in both),
        fused=sum(t.weights * t.count for t in fused), fused_ranks=sum(t.ranks * t.weights * t.count for t in fused),
    )


def _dequantization(setup: Setup, batch: Batch) -> Work:
    """A quantized base's weights are turned into 16 bits for each product: forward, backward, and when recomputed."""
    sizes = setup.geometry
    again = setup.layers_again / sizes.layers
    times = batch.passes * (2 + again)
    modules = sum(t.count for t in sizes.targets if not t.packed)
    extra = Work()
    if setup.quantization == "int8":
        # Forward, activations are quantized by row, their largest columns multiplied apart, and the 32-bit sums scaled.
        each = sum((8.0 * t.inputs + 10.0 * t.outputs) * t.count for t in sizes.targets if not t.packed)
        forward = 1 + again
        extra = Work(moved=forward * each * batch.tokens, kernels=float(forward * 12 * modules * batch.passes))
    codes = times * DEQUANTIZED[setup.quantization] * sizes.linear_weights
    return extra.plus(Work(moved=codes, kernels=float(times * DEQUANTIZE_KERNELS * modules), codes=codes))


def _generation(setup: Setup, active: int) -> Work:
    """Completions written token by token: each token of all rows at once reads every weight and the cache so far."""
    sizes, rows = setup.geometry, setup.generated_rows
    whole = active + sizes.vocab * sizes.hidden
    weights = float(setup.completion * (sizes.linear_weights + sizes.packed_weights + sizes.vocab * sizes.hidden)
                    * setup.compute_bytes)
    seen = setup.prompt + setup.completion / 2
    cache = 2.0 * sizes.key * setup.compute_bytes * sizes.layers * rows * seen * setup.completion
    if setup.quantization != "none":
        weights *= 0.25
    products = 2.0 * whole * rows * (setup.prompt + setup.completion)
    kernels = float(setup.completion * sizes.layers * traffic_of(setup).kernels[0])
    return _products(setup, products, weights + cache, kernels, weights)._replace(stream=cache)


def _head(setup: Setup, batch: Batch) -> Work:
    """Embedding, final norm, and the loss with its gradients over the tokens that it scores."""
    sizes, scored = setup.geometry, batch.tokens if setup.loss == "full" else batch.scored
    table = sizes.vocab * sizes.hidden
    passes = HEAD_PASSES[setup.loss] + (1 if setup.full else 0)
    if setup.scores:
        return Work(kernels=float(HEAD_KERNELS * batch.passes))
    read = float(table * setup.compute_bytes * passes * batch.passes)
    moved = LOGIT_BYTES[setup.loss] * setup.compute_bytes / 2 * sizes.vocab * scored
    moved += 120.0 * sizes.hidden * batch.tokens
    return _products(setup, 2.0 * table * passes * scored, moved + read, HEAD_KERNELS * batch.passes, read)


def _optimizer(setup: Setup) -> Work:
    """Clipping and the optimizer step, once for all passes; sharded states are a device's share."""
    count, width = trainable_parameters(setup), trained_bytes(setup)
    each = (CLIPPING_PASSES + OPTIMIZER_PASSES[setup.optimizer]) * width + STATES_8BIT.get(setup.optimizer, 0.0)
    tensors = sum(t.count for t in (setup.geometry.targets if setup.full else setup.targets))
    # Multi-tensor kernels take some thirty tensors at once; 8-bit optimizers go through them one by one.
    kernels = tensors * (2.0 if setup.optimizer in STATES_8BIT else 0.2) + 10
    share = setup.devices if setup.strategy not in ("single", "ddp") else 1
    moved = each * count / share
    half = 0.0
    if setup.optimizer == "muon":
        # Five rounds of its orthogonalization, each of two products with the matrix and one of its short side's square.
        for one in muon_matrices(setup):
            short, long = sorted((one.rows, one.columns))
            half += one.count * MUON_ROUNDS * (4.0 * short * short * long + 2.0 * short**3) / share
            kernels += one.count * MUON_ROUNDS * 5
    return Work(half=half, moved=moved, kernels=float(math.ceil(kernels)), stream=moved)
