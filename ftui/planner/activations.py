"""What one decoder layer keeps for its backward pass, and the most that its backward holds at once.

The layer is written onto a tape (`blocks`, `attention`, `experts`), from which both follow for every number of tokens.
Tapes depend on the manner of training only, so they are made once for many batches and lengths.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from ftui.planner.adapters import trains_inputs
from ftui.planner.attention import attention
from ftui.planner.blocks import Manner, Writer
from ftui.planner.experts import experts
from ftui.planner.partial import own_weights, reaches, trained_layers
from ftui.planner.setup import Setup
from ftui.planner.surrounding import around
from ftui.planner.tape import Point, Size, Value, highest


@dataclass(frozen=True)
class Layer:
    """Sizes are bytes per token (real) and bytes whatever the tokens (imaginary).

    `kept` is what the layer's forward pass leaves behind; `points` are the highest moments of its backward pass, what
    was kept included, and where it is checkpointed of the forward pass that comes again before.  All are without the
    layer's input, the gradients of other layers, and everything outside.
    """

    kept: Size
    points: tuple[Size, ...]
    again: tuple[Size, ...]
    """The same where earlier micro-batches have left gradients, so that those of the weights are added and let go."""
    forward: tuple[Size, ...]
    """The highest moments of the forward pass, what it keeps included; of the first layer and the norm not asked."""
    alone: tuple[Size, ...]
    """The highest moments of a forward pass that keeps nothing: an evaluation, a checkpoint's first pass."""
    clung: Size = 0j
    """The part of `kept` that the engine lets go of only with the whole graph, and no checkpoint's hooks reach."""


class Parts(NamedTuple):
    """A decoder layer, the first one, whose input may get no gradient, and the norm behind the last one."""

    layer: Layer
    first: Layer
    norm: Layer


class Kind(NamedTuple):
    """So many layers of one kind."""

    layers: float
    parts: Parts
    checkpointed: bool


def at(size: Size, tokens: int) -> float:
    """Bytes of `size` for so many tokens."""
    return size.real * tokens + size.imag


def peak(points: tuple[Size, ...], tokens: int) -> float:
    """The highest of the points for so many tokens."""
    return max(point.real * tokens + point.imag for point in points)


def layers_of(setup: Setup) -> tuple[Kind, ...]:
    """The kinds of layer of this setup: those that attend within a window get a mask where the rows are longer.

    Where only the first ones are checkpointed, each stretch of layers has its share of every kind.
    """
    sizes, again = setup.geometry, setup.layers_again
    if 0 < again < sizes.layers:
        first = layers_of(replace(setup, checkpoint_layers=None))
        rest = layers_of(replace(setup, checkpointing=False))
        share = again / sizes.layers
        return (
            *(kind._replace(layers=kind.layers * share) for kind in first),
            # Gradients flow on from their first one, to the layers before it.
            *(kind._replace(layers=kind.layers * (1 - share), parts=kind.parts._replace(first=kind.parts.layer))
              for kind in rest),
        )
    masked = setup.padded and setup.attention == "sdpa"
    plain = manner_of(setup, masked)
    if setup.options is not None and setup.options.kind == "freeze":
        return _partly_frozen(setup, plain)
    if masked or setup.attention != "sdpa" or not sizes.sliding_layers or setup.length < sizes.window:
        return (Kind(sizes.layers, _parts(plain), setup.checkpointing),)
    within = Kind(sizes.sliding_layers, _parts(manner_of(setup, True)), setup.checkpointing)
    if sizes.sliding_layers >= sizes.layers:
        return (within,)
    return within, Kind(sizes.layers - sizes.sliding_layers, _parts(plain), setup.checkpointing)


def _partly_frozen(setup: Setup, plain: Manner) -> tuple[Kind, ...]:
    """The layers that train, whose first has an input without a gradient, and the frozen ones before or behind them."""
    sizes, options = setup.geometry, setup.options
    layers = trained_layers(options, sizes)
    names = frozenset(t.name for t in own_weights(options, sizes))
    whole = getattr(options, "modules", "all") == "all"
    manner = replace(plain, full=True) if whole else replace(plain, own=names)
    trained = _parts(manner)._replace(first=_begun(manner))
    frozen = _parts(plain)
    if reaches(options, sizes) < sizes.layers:
        # Nothing below asks for a gradient.
        idle = replace(frozen.layer, kept=0j, points=(0j,), again=(0j,), forward=frozen.layer.alone, clung=0j)
        frozen = Parts(idle, idle, frozen.norm)
    else:
        frozen = frozen._replace(first=replace(frozen.layer, points=(0j,), again=(0j,), kept=0j))
    both = (Kind(layers, trained, setup.checkpointing),
            Kind(sizes.layers - layers, frozen, setup.checkpointing))
    return both if layers < sizes.layers else both[:1]


def manner_of(setup: Setup, masked: bool) -> Manner:
    """What the layers' operations depend on."""
    sizes = setup.geometry
    upcast = setup.quantization != "none" and setup.upcast
    norm = 4 if upcast in ("norms", "all") else setup.weight_bytes
    return Manner(
        geometry=sizes, full=setup.full, quantization=setup.quantization, weight=setup.weight_bytes,
        compute=setup.compute_bytes, autocast=setup.autocast,
        residual=residual_bytes(setup),
        norm=setup.adapter_bytes if setup.adapter == "ln_tuning" else norm, adapter=setup.adapter_bytes,
        rank=0 if setup.full else setup.rank, targets=setup.targets, dropout=setup.dropout, dora=setup.dora,
        attention=setup.attention,
        masked=setup.keys if masked else 0,
        scores=setup.keys if holds_scores(setup) else 0,
        prefix=setup.prefix / setup.length,
        cuda=setup.device == "cuda", checkpointed=setup.checkpointing, clings=setup.stack.keeps_4_bit_inputs,
        options=setup.options,
    )


def residual_bytes(setup: Setup) -> int:
    """Bytes per element of the hidden states that pass from layer to layer: the embedding's own.

    A float32 norm makes float32 inputs, 4- and 8-bit modules answer in their input's format, and so the first sum is
    float32 already; autocast's layer norm is such a norm whatever its weights are.
    """
    float_norms = setup.upcast != "none" or (setup.autocast and not setup.geometry.rms)
    return 4 if setup.quantization != "none" and float_norms else setup.weight_bytes


def hidden_bytes(setup: Setup) -> int:
    """Bytes per element of the hidden states that reach the loss, behind the final norm."""
    sizes, residual = setup.geometry, residual_bytes(setup)
    if not sizes.rms:
        return 4 if setup.autocast else residual
    upcast = setup.quantization != "none" and setup.upcast in ("norms", "all") and not sizes.float_norms
    return 4 if upcast else residual


@lru_cache(maxsize=512)
def _parts(manner: Manner) -> Parts:
    layer, checkpointed = _layer(manner, True), manner.checkpointed
    return Parts(
        layer=layer,
        first=layer if trains_inputs(manner.options) or manner.full or checkpointed else _begun(manner),
        norm=_final_norm(manner),
    )


@lru_cache(maxsize=128)
def _begun(manner: Manner) -> Layer:
    """A layer whose input gets no gradient."""
    return _layer(manner, False)


def _layer(manner: Manner, needs: bool) -> Layer:
    writer = Writer(manner)
    given = writer.hidden(needs, outside=manner.checkpointed)
    return _read(writer, given, _write(writer, given), manner.checkpointed, passes=needs)


def _final_norm(manner: Manner) -> Layer:
    writer = Writer(manner)
    given = writer.hidden(True, outside=False)
    return _read(writer, given, writer.norm(given, manner.geometry.hidden))


def _read(writer: Writer, given: Value, last: Value, checkpointed: bool = False, passes: bool = False) -> Layer:
    """The tape's forward `passes`, where they are wanted, come first: the backward pass lets go of what they kept."""
    tape = writer.tape
    kept = tape.kept()
    ahead = tape.forward(given, stops=checkpointed) if passes else []
    alone = tape.forward(given, keeps=False) if passes else []
    points = tape.backward(last)
    if checkpointed and tape.asked is not None:
        held, grown = tape.asked
        points += [Point(point + held, grown) for point in ahead]
    first = highest(held + grown for held, grown in points)
    return Layer(kept, first, highest(point.held for point in points), highest(ahead), highest(alone), tape.clung())


def _write(writer: Writer, x: Value) -> Value:
    """A decoder layer: attention and MLP with the norms and sums around them.

    The model's loop holds the layer's input until it returns.
    """
    width, order = writer.manner.geometry.hidden, writer.manner.geometry.order
    if order == "parallel":
        inputs = writer.norm(x, width)
        held = around(writer, "attention", inputs, attention(writer, inputs))
        writer.tape.hold(inputs)
        inputs = writer.norm(x, width) if writer.manner.geometry.norms > 1 else inputs
        wide = around(writer, "mlp", inputs, mlp(writer, inputs))
        writer.tape.hold(inputs)
        return writer.tape.add(writer.tape.add(wide, held), x)
    given = x
    for block, part in (("attention", attention), ("mlp", mlp)):
        inputs = x if order == "post" else writer.norm(x, width)
        held = around(writer, block, inputs, part(writer, inputs))
        writer.tape.hold(inputs)
        x = writer.tape.add(x, held if order == "pre" else writer.norm(held, width))
    writer.tape.hold(given)
    return x


def mlp(writer: Writer, x: Value) -> Value:
    """The feed-forward part: gated (act(gate(x)) · up(x)) or plain (act(up(x))), then down."""
    sizes, tape = writer.manner.geometry, writer.tape
    if packed := [t for t in sizes.targets if t.packed]:
        return experts(writer, x, packed)
    into = [t for t in sizes.targets if t.place == "mlp in"]
    out = next((t for t in sizes.targets if t.place == "mlp out"), None)
    if sizes.gated and len(into) == 1:
        whole = writer.linear(x, into[0])
        gate, up = tape.split(whole, (whole.size / 2, whole.size / 2))
        held = writer.times(up, writer.activation(gate))
    elif sizes.gated and into:
        held = writer.activation(writer.linear(x, into[0]))
        held = writer.times(held, writer.linear(x, into[1]))
    else:
        held = writer.activation(writer.linear(x, into[0]) if into else x)
    return writer.linear(held, out) if out else held


def token_mlp(setup: Setup) -> int:
    """The MLP width that one token sees: with experts, those it is routed to."""
    sizes = setup.geometry
    return sizes.expert_mlp * sizes.experts_per_token if sizes.experts_per_token else sizes.mlp


def holds_scores(setup: Setup) -> bool:
    """Eager attention holds the scores of every pair of tokens; so does SDPA where it has no fused kernel.

    That is float32 with grouped heads on CUDA, and dropout inside attention on a CPU.
    """
    if setup.attention == "eager" or (setup.device == "cpu" and setup.geometry.attention_dropout):
        return True
    grouped = setup.geometry.key < setup.geometry.query
    return setup.device == "cuda" and setup.compute_bytes == 4 and grouped and not setup.padded
