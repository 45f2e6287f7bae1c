"""A tape: autograd's bookkeeping without numbers, from which the memory of a forward and backward pass is read.

A layer is written down as the operations that the training stack performs on it; each says what it saves for its
backward and what that backward makes.  `backward` then walks them in the order of torch's engine and notes how much is
held at every point.  The rules are the engine's own (torch/csrc/autograd/engine.cpp, input_buffer.cpp):

* the last operation of the forward pass runs first;
* an operation's incoming gradient and its saved tensors are let go once its outgoing gradients are made, a tensor that
  several operations saved with the last of them;
* a second gradient of the same tensor is added to the first one out of place, and both are let go afterwards.

Sizes are complex numbers: bytes per token in the real part, bytes whatever the tokens in the imaginary part.  So one
walk serves every batch and length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

Size = complex


class Value:
    """A tensor of the forward pass: its size, bytes per element, and the storage that views of it share."""

    __slots__ = ("leaf", "needs", "size", "storage", "width")

    def __init__(self, size: Size, width: float, needs: bool, leaf: bool = False, storage: Storage | None = None):
        self.size = size
        self.width = width
        self.needs = needs
        """Whether a gradient flows to it."""
        self.leaf = leaf
        """A weight that trains: its gradient stays."""
        self.storage = storage or Storage(size)


class Storage:
    """Bytes with the number of those who hold them."""

    __slots__ = ("holders", "last", "outside", "size")

    def __init__(self, size: Size, outside: bool = False):
        self.size = size
        self.outside = outside
        """Counted elsewhere: weights, the layer's checkpointed input."""
        self.holders = 0
        self.last = 0
        """The last operation of the forward pass that reads it."""


class Node:
    """One operation's backward."""

    __slots__ = ("asks", "inputs", "made", "outputs", "saved", "work")

    def __init__(
        self, outputs: tuple[Value, ...], inputs: list[Value], made: list[Size | None],
        saved: tuple[Storage, ...], work: Size, asks: bool,
    ):
        self.outputs = outputs
        self.inputs = inputs
        self.made = made
        """Size of each input's new gradient; None where the incoming gradient itself is handed on."""
        self.saved = saved
        self.asks = asks
        """Whether it saved anything at all, a weight for instance."""
        self.work = work
        """What the backward holds at its worst beyond its outgoing gradients."""


class Step(NamedTuple):
    """One operation's forward: whose storage it fills, and what it holds besides while it runs."""

    storage: Storage
    view: bool
    saves: bool
    ahead: Size


class Point(NamedTuple):
    """What one point of a backward pass holds: `held` where the trained weights have their gradients already, so that
    new ones are added to them and let go, and `grown` more where these are the first."""

    held: Size
    grown: Size


class Tape:
    """Operations in the order of the forward pass."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.steps: list[Step] = []
        self.clinging: list[Storage] = []
        """What operations hold besides what they save: the engine lets go of it only with the whole graph."""
        self.asked: Point | None = None
        """Gradients held when `backward` first asks for something saved, as a checkpoint's second forward pass begins.
        """

    def op(
        self, inputs: Sequence[Value], size: Size, width: float, saves: Collection[Value] = (), work: Size = 0,
        made: Sequence[Size | None] | None = None, saves_result: bool = False, ahead: Size = 0,
        clings: Collection[Value] = (),
    ) -> Value:
        """A new tensor of `size` bytes made from `inputs`.

        `saves` are the tensors that its backward needs; `made` are the gradients' sizes, those of the inputs by
        default; `work` and `ahead` are what its backward and its forward hold besides while they run; to those that it
        `clings` to it holds on until the graph is gone.
        """
        wanted = [value for value in inputs if value.needs]
        result = Value(size, width, bool(wanted))
        if wanted:
            if made is None:
                sizes: list[Size | None] = [value.size for value in wanted]
            else:
                sizes = [one for one, value in zip(made, inputs, strict=True) if value.needs]
            self._record((result,), wanted, sizes, (*saves, result) if saves_result else saves, work)
            self._cling(clings)
        self._step(result, inputs, False, bool(wanted and (saves or saves_result)), ahead)
        return result

    def fresh(self, size: Size, width: float) -> Value:
        """A tensor that no gradient flows to: a mask, statistics."""
        return self.op((), size, width)

    def hold(self, *values: Value) -> None:
        """A frame of the forward pass held `values` until now."""
        for value in values:
            value.storage.last = len(self.steps) - 1

    def add(self, first: Value, second: Value, size: Size | None = None) -> Value:
        """A sum: both inputs get the incoming gradient itself, or a copy of it in their own number format."""
        width = max(first.width, second.width)
        result = first.size if first.width == width else second.size
        made = [None if value.width == width else value.size for value in (first, second)]
        return self.op((first, second), result if size is None else size, width, made=made)

    def cast(self, value: Value, width: float) -> Value:
        """`value` in another number format; itself where it has that one."""
        return value if value.width == width else self.op((value,), value.size * width / value.width, width)

    def split(self, value: Value, sizes: Sequence[Size]) -> tuple[Value, ...]:
        """Views of `value`; their gradients are put together into one (torch's chunk and split)."""
        views = tuple(Value(size, value.width, value.needs, storage=value.storage) for size in sizes)
        for view in views:
            self._step(view, (value,), True)
        if value.needs:
            self._record(views, [value], [value.size], (), 0)
        return views

    def slice(self, value: Value, size: Size) -> Value:
        """A view of `value` by indexing: its gradient is as large as the whole, zero elsewhere."""
        view = Value(size, value.width, value.needs, storage=value.storage)
        self._step(view, (value,), True)
        if value.needs:
            self._record((view,), [value], [value.size], (), 0)
        return view

    def _record(
        self, outputs: tuple[Value, ...], inputs: list[Value], made: list[Size | None], saves: Collection[Value],
        work: Size,
    ) -> None:
        saved = tuple(value.storage for value in saves if not value.storage.outside)
        for storage in saved:
            storage.holders += 1
        self.nodes.append(Node(outputs, inputs, made, saved, work, bool(saves)))

    def _cling(self, values: Collection[Value]) -> None:
        for value in values:
            if not value.storage.outside:
                value.storage.holders += 1
                self.clinging.append(value.storage)

    def _step(
        self, result: Value, inputs: Sequence[Value], view: bool, saves: bool = False, ahead: Size = 0
    ) -> None:
        now = len(self.steps)
        for value in inputs:
            value.storage.last = now
        self.steps.append(Step(result.storage, view, saves, ahead))

    def kept(self) -> Size:
        """Bytes that the forward pass leaves behind for the backward pass."""
        saved = [one for node in self.nodes for one in node.saved]
        return sum({id(one): one.size for one in (*saved, *self.clinging)}.values(), start=0j)

    def clung(self) -> Size:
        """The part of `kept` that stays until the whole graph is gone."""
        return sum({id(one): one.size for one in self.clinging}.values(), start=0j)

    def forward(self, given: Value, keeps: bool = True, stops: bool = False) -> list[Size]:
        """What is held at each point of the forward pass of `given`: what was saved, and what is still to be read.

        Nothing is saved unless it `keeps`; with `stops` it ends once all is saved, as a checkpoint's second pass does.
        """
        end = len(self.steps)
        if stops:
            # Inputs are saved before the operation runs, so the last one of these doesn't run.
            end = max((index for index, step in enumerate(self.steps) if step.saves), default=0)
        done: list[list[Storage]] = [[] for _ in range(len(self.steps) + 1)]
        live, points = 0j, []
        if not given.storage.outside:
            live = given.size
            if not (keeps and given.storage.holders):
                done[given.storage.last].append(given.storage)
        for index, step in enumerate(self.steps[:end]):
            storage = step.storage
            if not (step.view or storage.outside):
                live += storage.size
                if not (keeps and storage.holders):
                    done[max(index, storage.last)].append(storage)
            points.append(live + step.ahead)
            for storage in done[index]:
                live -= storage.size
        return points

    def backward(self, last: Value) -> list[Point]:
        """What is held at each point of the backward pass from `last`, whose gradient is held from the start."""
        kept = self.kept()
        live, grown = kept + last.size, 0j
        self.asked = None
        arrived = Storage(last.size)
        arrived.holders = 1
        gradients: dict[int, Storage] = {id(last): arrived}
        points = [Point(live, grown)]
        for node in reversed(self.nodes):
            incoming = [found for one in node.outputs if (found := gradients.pop(id(one), None)) is not None]
            if not incoming:
                continue
            if node.asks and self.asked is None:
                self.asked = Point(live - kept, grown)
            outgoing = []
            for size in node.made:
                if size is None:
                    outgoing.append(incoming[0])
                    incoming[0].holders += 1
                else:
                    fresh = Storage(size)
                    fresh.holders = 1
                    live += size
                    outgoing.append(fresh)
            points.append(Point(live + node.work, grown))
            for held in (*incoming, *node.saved):
                held.holders -= 1
                if not held.holders:
                    live -= held.size
            for value, gradient in zip(node.inputs, outgoing, strict=True):
                if value.leaf:
                    live -= gradient.size
                    grown += gradient.size
                    continue
                before = gradients.get(id(value))
                if before is None:
                    gradients[id(value)] = gradient
                    continue
                both = Storage(value.size)
                both.holders = 1
                live += value.size
                points.append(Point(live, grown))
                for held in (before, gradient):
                    held.holders -= 1
                    if not held.holders:
                        live -= held.size
                gradients[id(value)] = both
        points.append(Point(live, grown))
        return points


def highest(points: Iterable[Size]) -> tuple[Size, ...]:
    """The points that can be the largest for some number of tokens: those that no other one exceeds in both parts."""
    best: list[Size] = []
    rest = list(points)
    while rest:
        top = max(rest, key=attrgetter("real", "imag"))
        best.append(top)
        rest = [point for point in rest if point.imag > top.imag]
    return tuple(best)
