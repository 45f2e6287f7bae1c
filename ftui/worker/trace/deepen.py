"""From the log of a shallow model to that of the deep one: the events of its middle layers, repeated.

Layers of one kind do the same, one after the other on the way forward and in the other order on the way back.  So the
deep step is the shallow one with a window of middle layers repeated wherever the log passes through it; what a repeated
event frees is found in the layer that stands to it as the original's did.  Layers at both ends are special, their
neighbours hold parts of them, so a window needs a layer of its kind on either side: one pattern and four layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftui.worker.trace.log import Event, Log

Key = tuple[str, int | None, int]
"""(phase, layer, how many allocations that layer had made in that phase): a tensor's name in any depth."""


class Irregular(Exception):
    """The layers of a kind don't do the same: only the whole model can be traced."""


@dataclass(frozen=True)
class Pattern:
    """`first` layers of their own kinds, then `period` kinds in turn, then `last` layers of their own."""

    first: int
    period: int
    last: int

    @property
    def smallest(self) -> int:
        """The fewest layers from which any depth follows."""
        return self.first + self.period + self.last + 4


def pattern(kinds: Sequence[Any]) -> Pattern | None:
    """The pattern of the layers' kinds that needs the fewest layers; None where it needs all of them."""
    whole = len(kinds)
    best: tuple[int, Pattern] | None = None
    for period in range(1, whole // 2 + 1):
        first = next((i + 1 for i in range(whole - period - 1, -1, -1) if kinds[i] != kinds[i + period]), 0)
        found = [Pattern(first, period, 0)]
        # The last layers may be special instead: the same looked at from the other end.
        repeats = next((i for i in range(whole - period) if kinds[i] != kinds[i + period]), whole - period) + period
        found.append(Pattern(0, period, whole - repeats))
        for each in found:
            depth = shallow_depth(each, whole)
            if depth < whole and (best is None or depth < best[0]):
                best = depth, each
    return best[1] if best else None


def shallow_depth(pattern: Pattern, whole: int) -> int:
    """The depth to trace: as few layers as will do, ending within the pattern where the whole ends."""
    return pattern.smallest + (whole - pattern.smallest) % pattern.period


def kinds_of(config: Any) -> list[Any]:
    """What each decoder layer of `config` is, read off the modules built without weights: equal for equal layers."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    from ftui.worker.trace.building import depth, layers_of

    with torch.device("meta"), no_init_weights():
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    layers = layers_of(model, depth(config))[1]
    if layers is None:
        return [object() for _ in range(depth(config))]
    return [_kind(layer) for layer in layers]


def _kind(layer: Any) -> tuple[Any, ...]:
    shapes = tuple((name, tuple(parameter.shape)) for name, parameter in layer.named_parameters())
    plain = tuple(
        (name, type(module).__name__, attribute, value)
        for name, module in layer.named_modules()
        for attribute, value in sorted(vars(module).items())
        if isinstance(value, (bool, int, float, str)) and "idx" not in attribute and attribute != "training"
    )
    return shapes, plain


def deepen(log: Log, pattern: Pattern, traced: int, whole: int) -> Log:
    """The log of `whole` layers from that of `traced` ones; Irregular where its layers don't repeat."""
    return log if traced == whole else _Deepening(log, pattern, traced, whole).run()


class _Deepening:
    """`start` to `stop` is the window of layers that is repeated `copies` times."""

    def __init__(self, log: Log, pattern: Pattern, traced: int, whole: int):
        self.log, self.period = _in_order(log), pattern.period
        self.start, self.stop = pattern.first + 2, pattern.first + 2 + pattern.period
        self.copies, rest = divmod(whole - traced, pattern.period)
        if rest or self.stop > traced - pattern.last - 2:
            raise ValueError(f"{traced} layers don't tell about {whole} in {pattern}")
        self.further = whole - traced
        self.deep = Log(layers_at=log.layers_at)
        self.keys: dict[int, Key] = {}
        """Shallow id -> key, in layers of the shallow model."""
        self.begins: list[bool] = []
        """For each shallow event whether it is its tensor's first."""
        self.made: Counter[tuple[str, int | None]] = Counter()
        self.ids: dict[Key, int] = {}
        """Key, in layers of the deep model -> deep id."""

    def run(self) -> Log:
        self._name()
        self._check()
        for sweep in _sweeps(self.log.events):
            self._emit(sweep)
        for (phase, layer), spent in self.log.work.items():
            # That of all copies is the window's own; what is behind them lies deeper.
            place = layer + self.further if layer is not None and layer >= self.stop else layer
            self.deep.work[phase, place].add(spent, 1 + self.copies if self._is_inside(layer) else 1)
        self._check_what_is_left()
        return self.deep

    def _name(self) -> None:
        made: Counter[tuple[str, int | None]] = Counter()
        for event in self.log.events:
            self.begins.append(event.id not in self.keys)
            if self.begins[-1]:
                place = (event.phase, event.layer)
                self.keys[event.id] = (*place, made[place])
                made[place] += 1

    def _check(self) -> None:
        """The layers around the window's beginning do what those around its end do.

        Only one of them lets go what all layers share, such as the rotary embedding of one kind of attention.
        """
        does: dict[int | None, list[tuple[str, int]]] = {}
        for event in self.log.events:
            if event.layer is not None and self.keys[event.id][1] is not None:
                does.setdefault(event.layer, []).append((event.phase, event.size))
        for one in (self.start - 1, self.start):
            if does.get(one) != does.get(one + self.period):
                raise Irregular(f"layers {one} and {one + self.period} differ")

    def _check_what_is_left(self) -> None:
        """Every copy of the window lets go what the window itself does."""
        left: Counter[int | None] = Counter()
        home: dict[int, int | None] = {}
        for event in self.deep.events:
            left[home.setdefault(event.id, event.layer)] += event.size
        for layer in range(self.start, self.stop):
            if len({left[layer + copy * self.period] for copy in range(self.copies + 1)}) > 1:
                raise Irregular(f"what layer {layer} leaves isn't what its copies leave")

    def _emit(self, sweep: list[list[int]]) -> None:
        layers = [self.log.events[run[0]].layer for run in sweep]
        passed = [layer for layer in layers if layer is not None]
        inside = [index for index, layer in enumerate(layers) if self._is_inside(layer)]
        if inside and not set(passed).issuperset(range(self.start, self.stop)):
            raise Irregular(f"{self.log.events[sweep[0][0]].phase} passes through some of the layers only")
        window = [sweep[index] for index in inside]
        downwards = bool(passed) and passed[0] > passed[-1]
        for index, run in enumerate(sweep):
            if inside and downwards and index == inside[0]:
                self._copy(window, range(self.copies, 0, -1))
            self._replay(run, 0, last=downwards or not self._is_inside(layers[index]))
            if inside and not downwards and index == inside[-1]:
                self._copy(window, range(1, self.copies + 1))

    def _copy(self, window: list[list[int]], copies: range) -> None:
        for copy in copies:
            for run in window:
                self._replay(run, copy, last=copies.step > 0 and copy == self.copies)

    def _is_inside(self, layer: int | None) -> bool:
        return layer is not None and self.start <= layer < self.stop

    def _replay(self, run: list[int], copy: int, *, last: bool) -> None:
        """Append the run's events as those of a copy; `last` says that no other copy comes after it."""
        deep = self.deep
        for index in run:
            event = self.log.events[index]
            layer = self._deep_layer(event.layer, event.layer, copy)
            if self.begins[index]:
                place = (event.phase, layer)
                id = len(deep.parts) + 1
                self.ids[*place, self.made[place]] = id
                self.made[place] += 1
                deep.parts[id] = self.log.parts[event.id]
            else:
                phase, home, number = self.keys[event.id]
                if home is None and event.layer is not None and not last:
                    # What all layers share is let go by the last one that needs it.
                    continue
                id = self.ids.pop((phase, self._deep_layer(home, event.layer, copy), number), 0)
                if not id:
                    raise Irregular(f"in {event.phase} layer {event.layer} lets go what isn't there")
            deep.events.append(Event(id, event.size, event.phase, layer, event.where))

    def _deep_layer(self, layer: int | None, seen_from: int | None, copy: int) -> int | None:
        """Where `layer` of the shallow model lies in the deep one, seen from an event in layer `seen_from`."""
        if layer is None:
            return None
        if self._is_inside(seen_from) and self.start - 1 <= layer <= self.stop:
            return layer + copy * self.period
        # Neighbours stay neighbours; of the window itself the first copy is its beginning, the last one its end.
        edge = self.start if seen_from is not None and seen_from >= self.stop else self.stop
        return layer + self.further if layer >= edge else layer


def _in_order(log: Log) -> Log:
    """`log` with what is let go in one moment let go in the order in which it was made: autocast, for one, clears its
    copies of the weights in whatever order they lie in its table.
    """
    events: list[Event] = []
    frees: list[Event] = []

    def settle() -> None:
        events.extend(sorted(frees, key=lambda event: (-1 if event.layer is None else event.layer, event.id)))
        frees.clear()

    for event in log.events:
        if frees and (event.size > 0 or event.phase != frees[-1].phase):
            settle()
        (events if event.size > 0 else frees).append(event)
    settle()
    return replace(log, events=events)


def _sweeps(events: list[Event]) -> Iterator[list[list[int]]]:
    """The log cut into passes through the layers in one direction, each a list of runs of indices in one layer."""
    sweep: list[list[int]] = []
    last: int | None = None
    direction, phase = 0, ""
    for run in _runs(events):
        event = events[run[0]]
        layer = event.layer
        step = 0 if layer is None or last is None else layer - last
        turns = abs(step) > 1 or (step != 0 and direction not in (0, step))
        if sweep and (turns or _side(event.phase) != phase):
            yield sweep
            sweep, direction, last, step = [], 0, None, 0
        sweep.append(run)
        phase, direction = _side(event.phase), step or direction
        last = last if layer is None else layer
    if sweep:
        yield sweep


def _side(phase: str) -> str:
    return "backward" if phase.endswith("backward") else phase


def _runs(events: list[Event]) -> Iterator[list[int]]:
    run: list[int] = []
    for index, event in enumerate(events):
        if run and event.layer != events[run[-1]].layer:
            yield run
            run = []
        run.append(index)
    if run:
        yield run
