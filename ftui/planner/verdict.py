"""Whether a predicted peak fits what is free now, and the cheapest changes that would make it fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ftui.hardware.document import Hardware
from ftui.planner.document import Choice, Fit, MemoryEstimate, Verdict
from ftui.planner.geometry import chosen
from ftui.planner.memory import process_bytes
from ftui.planner.setup import Device, Setup
from ftui.units import GiB, gib

RESERVE_SHARE = 0.03
RESERVE_LEAST = GiB // 2
SHORTEST = 256


def budget(hardware: Hardware, device: Device) -> int:
    """Bytes that are free now where a run trains."""
    return hardware.ram.available_bytes if device == "cpu" else hardware.budget_bytes


def reserve(hardware: Hardware, device: Device) -> int:
    """What is kept free: 3 % of the device, at least half a GiB, for what other processes and the display take."""
    total = hardware.ram.total_bytes if device == "cpu" or hardware.gpu is None else hardware.gpu.total_bytes
    return max(int(RESERVE_SHARE * total), RESERVE_LEAST)


def fit_of(process: int, high: int, room: int) -> Fit:
    """"fits" if even the interval's high end goes into `room`, "tight" if only the expected peak does."""
    if high <= room:
        return "fits"
    return "tight" if process <= room else "no"


def verdict(estimate: MemoryEstimate, setup: Setup, hardware: Hardware, *, with_changes: bool = True) -> Verdict:
    """The estimate held against free memory less the reserve."""
    free, kept = budget(hardware, setup.device), reserve(hardware, setup.device)
    room = free - kept
    fit = fit_of(estimate.process_bytes, estimate.high_bytes, room)
    spare = room - estimate.high_bytes
    where = "of free RAM" if setup.device == "cpu" else "free now"
    expected = f"{gib(estimate.process_bytes)} expected, {gib(estimate.high_bytes)} at most"
    if fit == "fits":
        text = f"Fits: {expected}, {gib(free)} {where}; {gib(spare)} to spare."
        return Verdict(fit=fit, spare_bytes=spare, text=text)
    if fit == "tight":
        return Verdict(
            fit=fit, spare_bytes=spare,
            text=f"Tight: {expected}, {gib(free)} {where} less {gib(kept)} in reserve; it may miss by {gib(-spare)}.",
            changes=changes(setup, room) if with_changes else (),
        )
    missing = estimate.process_bytes - room
    found = changes(setup, room) if with_changes else ()
    text = f"Does not fit by {gib(missing)}: {expected}, {gib(free)} {where} less {gib(kept)} in reserve."
    if with_changes and not found:
        text += " No setting makes it fit: take a smaller base model or a larger card."
    return Verdict(fit=fit, spare_bytes=spare, text=text, changes=found)


def changes(setup: Setup, room: int) -> tuple[Choice, ...]:
    """Up to three single changes, cheapest first, each of which makes it fit; else the shortest chain that does."""
    single = [(found, choice) for found, choice in _cheaper(setup) if _fits(found, room)]
    if single:
        return tuple(choice for _, choice in single[:3])
    chain: dict[str, Choice] = {}
    current = setup
    for _ in range(24):
        step = next(_cheaper(current), None)
        if step is None:
            return ()
        current, choice = step
        chain[choice.path] = choice
        if _fits(current, room):
            return tuple(chain.values())
    return ()


def _fits(setup: Setup, room: int) -> bool:
    return process_bytes(setup)[1] <= room


def _cheaper(setup: Setup) -> Iterator[tuple[Setup, Choice]]:
    """Every change that saves memory, in the order of what it costs in quality and time."""
    now = process_bytes(setup)[0]
    for changed, path, value, cost in _ideas(setup):
        saved = now - process_bytes(changed)[0]
        if saved > 0:
            reason = f"saves {gib(saved)}; {cost}"
            yield changed, Choice(path=path, value=value, reason=reason, source="ftui memory formula")


def _ideas(setup: Setup) -> Iterator[tuple[Setup, str, object, str]]:
    """Changes that may save memory: the changed setup, the setting with its value, and what it costs."""
    if setup.rows > 1:
        rows = setup.rows // 2
        smaller = replace(setup, rows=rows, padded=setup.padded and rows > 1, accumulation=setup.accumulation * 2)
        yield smaller, "train.micro_batch", rows, "the effective batch stays, steps take slightly longer"
    if not setup.checkpointing:
        yield (replace(setup, checkpointing=True), "train.checkpointing", True, "steps take about a third longer")
    if setup.full and setup.optimizer == "adamw":
        yield (replace(setup, optimizer="adamw_8bit"), "train.optimizer", "adamw_8bit",
               "optimizer states in 8 bits, nearly the same result")
    if setup.full and setup.optimizer in ("adamw", "adamw_8bit") and setup.device == "cuda":
        yield (replace(setup, optimizer="paged_adamw_8bit"), "train.optimizer", "paged_adamw_8bit",
               "optimizer states in host memory, steps take longer")
    if setup.attention == "eager" and not setup.geometry.softcap:
        yield replace(setup, attention="sdpa"), "model.attention", "sdpa", "the same result, faster"
    if setup.method == "lora" and setup.compute_bytes == 2:
        yield (replace(setup, method="qlora", quantization="nf4", adapter_bytes=2), "model.quantization", "nf4",
               "a little quality, steps take about a third longer")
    if setup.length > SHORTEST:
        length = max(SHORTEST, setup.length // 2 // 64 * 64)
        yield replace(setup, length=length), "data.max_length", length, "longer rows are cut"
    if not setup.full and setup.rank > 8:
        yield replace(setup, rank=setup.rank // 2), "adapter.rank", setup.rank // 2, "the adapter can learn less"
    if setup.full:
        yield _as_lora(setup), "adapter.kind", "lora", "an adapter trains in place of every weight"


def _as_lora(setup: Setup) -> Setup:
    targets = chosen(setup.geometry, "all-linear")
    return replace(setup, method="lora", rank=16, targets=targets, optimizer="adamw", adapter_bytes=4)
