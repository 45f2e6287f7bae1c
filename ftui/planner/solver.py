"""The largest micro-batch, sequence, rank or model that fits, and what stands in the way of a larger one.

By doubling and bisection over the closed form: some twenty estimates, a few milliseconds.  The answer fits with the
high end of its interval, and one more does not (or nothing larger can be had: a setting's limit, the model's context).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from ftui.data.document import DataProfile
from ftui.documents import Document
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner.changes import catalogue_sizes, with_model
from ftui.planner.document import MemoryParts
from ftui.planner.geometry import Geometry
from ftui.planner.memory import fits, memory
from ftui.planner.setup import Setup, devices_of, masks_one_row, padded_width, setup_of
from ftui.planner.verdict import budget, reserve
from ftui.recipe.document import Recipe
from ftui.units import count, gib

What = Literal["micro_batch", "max_length", "rank", "model"]
PATHS: dict[What, str] = {
    "micro_batch": "train.micro_batch", "max_length": "data.max_length", "rank": "adapter.rank", "model": "model.base",
}
MOST = {"micro_batch": 4096, "rank": 1024}
"""The settings' own limits."""
LEAST = {"micro_batch": 1, "max_length": 8, "rank": 1}
PARTS = {
    "weights": "the base model's weights", "reference": "the second model", "adapter": "the adapter",
    "gradients": "gradients", "optimizer": "optimizer states", "activations": "activations", "logits": "logits",
    "workspace": "work buffers", "context": "the CUDA context", "slack": "the allocator's rounding",
}


class Largest(Document):
    """The largest value of one setting that fits, all others staying as the recipe has them."""

    what: What
    path: str
    """The setting, dotted as in the recipe."""
    value: int | str | None
    """None where not even the smallest fits."""
    process_bytes: int
    high_bytes: int
    """Expected peak with this value (or with the smallest, where none fits) and its interval's high end."""
    room_bytes: int
    """What is free now, less the reserve."""
    next_value: int | str | None
    """The next larger one, which does not fit; None where there is none."""
    missing_bytes: int
    """By how much its high end exceeds the room; 0 where there is no next one."""
    limit: str
    """The part of memory that grows towards the limit, or what else ends it, in words."""
    phase: str
    text: str


def largest(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, what: What
) -> Largest:
    """The largest `what` that fits with everything else as in this resolved recipe.

    For "max_length" rows are taken to fill the sequence, whatever the data's longest row; the effective batch grows
    with the micro-batch where it would be smaller.  For "model" the catalogue's models are tried with the recipe's
    own settings.
    """
    setup = setup_of(recipe, hardware, shape, profile)
    room = budget(hardware, setup.device) - reserve(hardware, setup.device)
    if what == "rank" and setup.full:
        return _nothing(what, setup, room, "Full tuning has no rank.")
    if what == "model":
        return _largest_model(setup, room)
    effective = int(recipe.train.effective_batch) // devices_of(recipe)
    packed = bool(recipe.data.packing)
    build = _builder(what, setup, effective, packed=packed, masked=masks_one_row(recipe, packed=packed))
    top = MOST.get(what, shape.context_length)
    value = _bisect(lambda size: fits(build(size), room), LEAST[what], max(top, LEAST[what]))
    unit = {"micro_batch": "rows", "max_length": "tokens", "rank": ""}[what]
    if value is None:
        return _nothing(what, build(LEAST[what]), room, f"Not even {_sized(LEAST[what], unit)} fits.")
    end = {"max_length": "the model's context"}.get(what, "the setting's own limit")
    following = value + 1 if value < top else None
    return _answer(what, value, build(value), following, build(value + 1), room, _sized(value, unit), end)


def _builder(what: What, setup: Setup, effective: int, *, packed: bool, masked: bool) -> Callable[[int], Setup]:
    """The setup with another size in place."""
    def micro_batch(rows: int) -> Setup:
        accumulation = max(1, -(-effective // rows))
        return replace(setup, rows=rows, padded=rows > 1 or (masked and setup.padded), accumulation=accumulation)

    def max_length(length: int) -> Setup:
        return replace(setup, length=length if packed else padded_width(length, setup.device))

    def rank(size: int) -> Setup:
        return replace(setup, rank=size)

    builders: Mapping[str, Callable[[int], Setup]] = {
        "micro_batch": micro_batch, "max_length": max_length, "rank": rank,
    }
    return builders[what]


def _bisect(fits: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest value of least..most that fits and whose successor doesn't; None where `least` does not fit."""
    if not fits(least):
        return None
    low, step = least, 1
    while low < most:
        above = min(most, low + step)
        if not fits(above):
            break
        low, step = above, step * 2
    else:
        return most
    high = min(most, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _largest_model(setup: Setup, room: int) -> Largest:
    """Over the catalogue, by parameters; the next one is the smallest that is larger and does not fit."""
    found: tuple[ModelShape, Geometry] | None = None
    following: tuple[ModelShape, Geometry] | None = None
    known = sorted(catalogue_sizes(), key=lambda pair: pair[0].parameters)
    for shape, sizes in reversed(known):
        if setup.length > shape.context_length:
            continue
        if fits(with_model(setup, sizes), room):
            found = (shape, sizes)
            break
        following = (shape, sizes)
    if found is None:
        smallest = with_model(setup, (following or known[0])[1])
        return _nothing("model", smallest, room, "No model of the catalogue fits with these settings.")
    after = with_model(setup, following[1]) if following else setup
    return _answer(
        "model", found[0].ref, with_model(setup, found[1]), following[0].ref if following else None, after, room,
        f"{found[0].ref} ({count(found[0].parameters)})", "the catalogue, which has no larger one",
    )


def _answer(
    what: What, value: int | str, setup: Setup, following: int | str | None, after: Setup, room: int, words: str,
    end: str,
) -> Largest:
    now = memory(setup)
    common: dict[str, Any] = {
        "what": what, "path": PATHS[what], "value": value, "process_bytes": now.process_bytes,
        "high_bytes": now.high_bytes, "room_bytes": room, "phase": now.phase,
    }
    held = f"{gib(now.process_bytes)} expected, {gib(now.high_bytes)} at most of {gib(room)}"
    if following is None:
        return Largest(**common, next_value=None, missing_bytes=0, limit=end,
                       text=f"{PATHS[what]}: {words} is the largest there is and fits: {held}. It ends at {end}.")
    then = memory(after)
    part = _growing(now.parts, then.parts)
    missing = then.high_bytes - room
    return Largest(
        **common, next_value=following, missing_bytes=missing, limit=part,
        text=f"{PATHS[what]}: {words} is the largest that fits: {held}. {following} would miss by {gib(missing, 2)}; "
             f"what grows is {part}, and the peak stands at the {then.phase}.",
    )


def _nothing(what: What, setup: Setup, room: int, words: str) -> Largest:
    now = memory(setup)
    part = max(PARTS, key=lambda name: getattr(now.parts, name, 0))
    missing = max(0, now.high_bytes - room)
    text = words
    if missing:
        text += f" {gib(now.high_bytes)} at most, {gib(room)} to be had; most of it is {PARTS[part]}."
    return Largest(
        what=what, path=PATHS[what], value=None, process_bytes=now.process_bytes, high_bytes=now.high_bytes,
        room_bytes=room, next_value=None, missing_bytes=missing, limit=PARTS[part], phase=now.phase, text=text,
    )


def _growing(before: MemoryParts, after: MemoryParts) -> str:
    """The part that grows most from one to the other, in words."""
    return PARTS[max(PARTS, key=lambda name: getattr(after, name, 0) - getattr(before, name, 0))]


def _sized(value: int, unit: str) -> str:
    return f"{value:,} {unit if value != 1 else unit.removesuffix('s')}".strip()
