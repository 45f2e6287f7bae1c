"""What could be changed to make a setup fit: every idea as a ladder of settings, priced by time and quality.

One change that is enough by itself is best; the cheapest of those are offered.  Where none is, all are taken together,
then those that turn out not to be needed are left out, the dearest first, and the rest made as mild as still fits.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from ftui.data.document import Lengths
from ftui.methods import ADAPTERS
from ftui.models.document import ModelShape
from ftui.planner.document import Choice
from ftui.planner.geometry import Geometry, chosen, geometry
from ftui.planner.lengths import cut
from ftui.planner.memory import fits, process_bytes
from ftui.planner.setup import Setup
from ftui.recipe.adapter_combinations import UNCHECKPOINTED
from ftui.units import gib

SHORTEST = 256
DOUBLING = 0.02
"""Quality that a step of twice the time is held to be worth, to put prices in one order."""
OFFERED = 3
AN_ADAPTER = "an adapter trains in place of every weight"


@dataclass(frozen=True)
class Costs:
    """What prices a change: seconds per token of a setup, its expected quality, and the rows' lengths."""

    pace: Callable[[Setup], float] | None = None
    worth: Callable[[Setup], float] | None = None
    lengths: Lengths | None = None
    masked: bool = True
    """Whether a micro-batch of a single row needs a mask, too: packed rows, or several sequences to a row."""


@dataclass(frozen=True)
class Priced:
    """A setup with what it costs, each found out once and only where it is asked for."""

    setup: Setup
    costs: Costs

    @cached_property
    def pace(self) -> float:
        """Seconds per token; 1 where nobody tells."""
        return self.costs.pace(self.setup) if self.costs.pace else 1.0

    @cached_property
    def worth(self) -> float:
        """Expected quality; 1 where nobody tells."""
        return self.costs.worth(self.setup) if self.costs.worth else 1.0

    @cached_property
    def process(self) -> int:
        """Bytes at the peak."""
        return process_bytes(self.setup)[0]

    def after(self, rung: Rung) -> Priced:
        """The setup with that change."""
        return Priced(rung.apply(self.setup), self.costs)

    def slower(self, other: Priced) -> float:
        """The share by which a step takes longer with `other`."""
        return other.pace / self.pace - 1

    def worse(self, other: Priced) -> float:
        """The expected quality that `other` loses."""
        return self.worth - other.worth

    def price(self, rung: Rung) -> float:
        """Quality that a change costs, its time counted as quality."""
        after = self.after(rung)
        doublings = math.log2(max(1.0, 1 + self.slower(after)))
        return rung.toll + max(0.0, self.worse(after)) + DOUBLING * doublings


@dataclass(frozen=True)
class Rung:
    """One value of a setting: how the setup becomes with it, and what is worth saying beside time and quality."""

    path: str
    value: Any
    apply: Callable[[Setup], Setup]
    words: str
    toll: float = 0.0
    """What it costs besides, in quality, where the pace does not show it: traffic over the bus."""


@dataclass(frozen=True)
class Found:
    """What would make it fit; `together` if all are needed, else each alone is enough."""

    choices: tuple[Choice, ...] = ()
    together: bool = False
    slower: float = 0.0
    """Share by which steps get longer, of all changes together."""
    worse: float = 0.0
    """Expected quality that all changes together cost."""


def find(setup: Setup, room: int, costs: Costs) -> Found:
    """The cheapest single changes that make `setup` fit into `room` bytes, else the cheapest combination."""
    now, ladders = Priced(setup, costs), list(_ladders(setup, costs, room))
    if not fits(_at_least(setup, ladders), room):
        return _found(now, _adapted(setup, room, costs))
    if single := _single(now, room, ladders):
        return Found(tuple(_choice(now, rung) for rung in single[:OFFERED]))
    return _found(now, _combined(now, room, ladders))


def _at_least(setup: Setup, ladders: Sequence[list[Rung]]) -> Setup:
    """With every change at its strongest: where this does not fit, nothing does."""
    for ladder in ladders:
        setup = ladder[-1].apply(setup)
    return setup


def _found(now: Priced, rungs: Sequence[Rung]) -> Found:
    """Rungs that are needed together, each priced on top of those before it."""
    current, choices = now, []
    for rung in rungs:
        choices.append(_choice(current, rung))
        current = current.after(rung)
    return Found(tuple(choices), len(choices) > 1, now.slower(current), now.worse(current)) if rungs else Found()


def _single(now: Priced, room: int, ladders: Sequence[list[Rung]]) -> list[Rung]:
    """Of each idea that is enough by itself the mildest value, cheapest first."""
    setup = now.setup
    enough = [
        next(rung for rung in ladder if fits(rung.apply(setup), room))
        for ladder in ladders if fits(ladder[-1].apply(setup), room)
    ]
    return sorted(enough, key=now.price)


def _adapted(setup: Setup, room: int, costs: Costs) -> list[Rung]:
    """An adapter in place of full tuning, with what that needs besides: a quantized base, which full tuning can't."""
    if not setup.full:
        return []
    after = _as_lora(setup)
    now, ladders = Priced(after, costs), list(_ladders(after, costs, room))
    if not fits(_at_least(after, ladders), room):
        return []
    more = _single(now, room, ladders)[:1] or _combined(now, room, ladders)
    return [Rung("adapter.kind", "lora", _as_lora, AN_ADAPTER), *more] if more else []


def smaller_model(setup: Setup, room: int) -> ModelShape | None:
    """The largest model of the catalogue that is smaller than this one and fits with the same settings."""
    smaller = (pair for pair in reversed(catalogue_sizes()) if pair[0].parameters < setup.geometry.parameters)
    return next((shape for shape, sizes in smaller if fits(with_model(setup, sizes), room)), None)


@lru_cache(maxsize=1)
def catalogue_sizes() -> tuple[tuple[ModelShape, Geometry], ...]:
    """The shapes of the catalogue's models for texts with their geometry, smallest first."""
    # Read only where it is asked for: a plan without this question needs no catalogue.
    from ftui.models.known import catalogue

    # One without a goal is there for what it does besides, such as looking at images.
    return tuple((entry.shape, geometry(entry.shape)) for entry in catalogue() if entry.goals)


def with_model(setup: Setup, sizes: Geometry) -> Setup:
    """`setup` with another base model; adapters go on the modules of the same names, or on all linear ones."""
    names = tuple(target.name for target in setup.targets)
    targets = (chosen(sizes, names) or chosen(sizes, "all-linear")) if names else ()
    return replace(setup, geometry=sizes, targets=targets)


def _combined(now: Priced, room: int, ladders: Sequence[list[Rung]]) -> list[Rung]:
    """Every idea at its strongest; then without the needless ones, the dearest first; then each as mild as fits."""
    order = sorted(ladders, key=lambda ladder: now.price(ladder[-1]))
    taken = list(range(len(order)))
    rungs = [ladder[-1] for ladder in order]

    def enough(indices: Sequence[int]) -> bool:
        result = now.setup
        for index in indices:
            result = rungs[index].apply(result)
        return fits(result, room)

    for index in reversed(range(len(order))):
        without = [other for other in taken if other != index]
        if enough(without):
            taken = without
    for index in taken:
        for rung in order[index][:-1]:
            strongest, rungs[index] = rungs[index], rung
            if enough(taken):
                break
            rungs[index] = strongest
    return [rungs[index] for index in taken]


def _choice(now: Priced, rung: Rung) -> Choice:
    """A rung as a setting, with what it saves and costs."""
    after = now.after(rung)
    slower, worse = now.slower(after), now.worse(after)
    said = [f"saves {gib(max(0, now.process - after.process))}"]
    if abs(slower) >= 0.02:
        said.append(f"steps take {abs(slower):.0%} {'longer' if slower > 0 else 'less'}")
    if worse >= 0.0005:
        said.append(f"about {100 * worse:.2g} % of the quality")
    if rung.words:
        said.append(rung.words)
    return Choice(path=rung.path, value=rung.value, reason="; ".join(said), source="ftui memory formula")


def _ladders(setup: Setup, costs: Costs, room: int) -> Iterator[list[Rung]]:
    """Every idea that may save memory, mildest value first; ideas that cost nothing come before those that do."""
    def put(path: str, value: Any, words: str, toll: float = 0.0, **fields: Any) -> Rung:
        return Rung(path, value, lambda current: replace(current, **fields), words, toll)

    cuda = setup.device == "cuda"
    if cuda and not setup.expandable:
        yield [put("compute.allocator", "expandable", "segments grow in place; the same result", expandable=True)]
    if setup.loss in ("full", "tiled") and setup.trainer == "ftui":
        yield [put("train.loss", "chunked", "the same loss, without holding the logits", loss="chunked")]
    if setup.attention == "eager" and not setup.geometry.softcap:
        yield [put("model.attention", "sdpa", "the same result", attention="sdpa")]
    if setup.rows > 1:
        yield [_micro_batch(rows, masked=costs.masked) for rows in _halved(setup.rows, 1)]
    if not setup.checkpointing and setup.adapter not in UNCHECKPOINTED:
        yield [put("train.checkpointing", True, _again(setup, room), checkpointing=True)]
    elif 0 < setup.layers_again < setup.geometry.layers:
        yield [put("train.checkpoint_layers", layers, "more layers are computed again going backward",
                   checkpoint_layers=layers) for layers in _more_layers(setup)]
    yield from _optimizers(setup, put, cuda=cuda)
    if setup.quantization == "none" and not setup.full and setup.compute_bytes == 2 and ADAPTERS[setup.adapter].on_nf4:
        yield [put("model.quantization", "nf4", "", method="qlora", quantization="nf4", adapter_bytes=2)]
    if not setup.full and setup.rank > 8:
        yield [put("adapter.rank", rank, "the adapter can learn less", rank=rank) for rank in _halved(setup.rank, 8)]
    yield from _fewer_targets(setup)
    if cuda and not setup.activation_offload and setup.layers_again in (0, setup.geometry.layers):
        yield [put("train.activation_offload", True, "activations wait in host memory, the bus sets the pace",
                   toll=0.02, activation_offload=True)]
    if setup.length > SHORTEST:
        lengths = _halved(setup.length, SHORTEST, multiple=64)
        yield [put("data.max_length", length, _what_is_cut(costs.lengths, length), length=length)
               for length in lengths]
    if setup.full:
        yield [Rung("adapter.kind", "lora", _as_lora, AN_ADAPTER)]


def _again(setup: Setup, room: int) -> str:
    """What checkpointing does, and how many of the first layers it would take at the least."""
    layers, said = setup.geometry.layers, "layers are computed again going backward"
    if setup.adapter == "freeze" or setup.activation_offload:
        return said
    all_of_them = replace(setup, checkpointing=True, checkpoint_layers=None)
    if not fits(all_of_them, room):
        return said
    least = bisect_left(
        range(1, layers), True, key=lambda count: fits(replace(all_of_them, checkpoint_layers=count), room)
    ) + 1
    return said if least == layers else f"{said}; the first {least} of {layers} are enough: train.checkpoint_layers"


def _more_layers(setup: Setup) -> Iterator[int]:
    """More and more layers, up to all of them: each time half of those that are left."""
    layers, again = setup.geometry.layers, setup.layers_again
    while again < layers:
        again += -(-(layers - again) // 2)
        yield again


def _optimizers(setup: Setup, put: Callable[..., Rung], *, cuda: bool) -> Iterator[list[Rung]]:
    """Leaner states: in 8 bits, then out of the card's memory; little to gain for an adapter."""
    lean = {
        "adamw": ("adamw_8bit", "paged_adamw_8bit"), "paged_adamw": ("paged_adamw_8bit",),
        "adamw_8bit": ("paged_adamw_8bit",), "lion": ("lion_8bit", "paged_lion_8bit"),
        "lion_8bit": ("paged_lion_8bit",),
    }.get(setup.optimizer, ())
    rungs = [
        put("train.optimizer", name, "its states move to host memory where it gets tight", toll=0.01, optimizer=name)
        if name.startswith("paged") else put("train.optimizer", name, "its states in 8 bits", optimizer=name)
        for name in lean if cuda or not name.startswith("paged")
    ]
    if rungs:
        yield rungs


def _fewer_targets(setup: Setup) -> Iterator[list[Rung]]:
    """Adapters on the attention's modules only."""
    attention = tuple(target for target in setup.targets if target.place.startswith("attention"))
    if not attention or len(attention) == len(setup.targets):
        return
    names = tuple(dict.fromkeys(target.name for target in attention))
    yield [Rung("adapter.targets", names, lambda current: replace(current, targets=attention),
                "only attention gets adapters")]


def _micro_batch(rows: int, *, masked: bool) -> Rung:
    def apply(current: Setup) -> Setup:
        passes = -(-current.accumulation * current.rows // rows)
        return replace(current, rows=rows, padded=current.padded and (masked or rows > 1), accumulation=passes)

    return Rung("train.micro_batch", rows, apply, "the effective batch stays")


def _as_lora(setup: Setup) -> Setup:
    # Full tuning in float16 holds float32 weights; under an adapter they are 16 bits again.
    return replace(setup, method="lora", rank=16, targets=chosen(setup.geometry, "all-linear"), optimizer="adamw",
                   weight_bytes=setup.compute_bytes, adapter_bytes=4)


def _what_is_cut(lengths: Lengths | None, length: int) -> str:
    if lengths is None:
        return "longer rows are cut"
    over, lost = cut(lengths, length)
    return f"{over:.1%} of rows are cut and lose {lost:.1%} of all tokens" if over else "no row is that long"


def _halved(value: int, least: int, *, multiple: int = 1) -> Iterator[int]:
    """Halves of `value`, halves of those, and so on down to `least`."""
    while value > least:
        value = max(least, value // 2 // multiple * multiple)
        yield value
