"""A traced step as the `Trace` document: memory with its interval, phases, and a timeline of a few hundred points."""

from __future__ import annotations

import re
from typing import Any

from ftui.planner import allocator
from ftui.planner.document import MemoryEstimate, MemoryParts, Trace, TracePoint
from ftui.planner.memory import memory as formula
from ftui.planner.setup import Setup
from ftui.units import gib
from ftui.worker.trace.log import Event, Moment, moments
from ftui.worker.trace.tracing import Traced

POINTS = 240
"""Most points of the timeline: three per column of a terminal."""
DOUBT = 0.01
"""What the allocated peak may be off: 70 archived runs on a T4 and an RTX 4080 were met within 1.01 %."""
SLACK_DOUBT = {"fused": 0.03, "quantized": 0.13, "scores": 0.24}
"""How far reserved was above its replay in the worst of those runs, as a share of what comes and goes: 16-bit weights
with fused attention, 4-bit ones, attention that builds its scores."""
BEFORE = ("load", "setup")


def document(
    traced: Traced, setup: Setup, *, key: str, model: str, versions: dict[str, str], seconds: float, rss: int,
) -> Trace:
    """The document of `traced`, a step of `setup`."""
    work, peak = traced.work, traced.peaks.whole
    timeline, reserved = _timeline(traced, setup)
    notes = traced.notes + _writing(setup, peak.total)
    if setup.devices > 1:
        notes += (f"One of {setup.devices} devices, without the buckets that DDP reduces gradients in.",)
    return Trace(
        key=key, versions=versions, model=model, layers=traced.layers, traced_layers=traced.traced_layers,
        memory=memory(traced, setup, reserved).model_copy(update={"notes": notes}), where=where(traced, peak.event),
        phases={phase: moment.total for phase, moment in traced.peaks.phases.items()}, timeline=timeline,
        flops_half=work.flops_half, flops_single=work.flops_single, bytes_moved=work.bytes_moved,
        operations=work.operations, seconds=round(seconds, 2), peak_rss_bytes=rss, notes=notes,
    )


def memory(traced: Traced, setup: Setup, reserved: int) -> MemoryEstimate:
    """The traced peak with badge "traced"; `reserved` is the replayed peak of the whole card.

    Where writing answers, which is not traced, takes more, the formula's estimate of it.
    """
    if _written(setup) > traced.allocated_bytes:
        return formula(setup)
    peak, static = traced.peaks.whole, traced.peaks.static
    dynamic, context = peak.total - static, allocator.context(setup)
    slack = max(0, reserved - peak.total)
    process = peak.total + slack + context
    doubt = DOUBT * dynamic
    kind = "scores" if setup.attention == "eager" else "quantized" if setup.quantization != "none" else "fused"
    above = doubt + (0.3 * slack if setup.device == "cpu" else SLACK_DOUBT[kind] * dynamic) + 0.3 * context
    below = doubt + (0.5 * slack if setup.device == "cpu" else 0.9 * slack) + 0.4 * context
    return MemoryEstimate(
        parts=_parts(peak.parts, context=context, slack=slack), allocated_bytes=peak.total,
        reserved_bytes=peak.total + slack, process_bytes=process, low_bytes=int(process - below),
        high_bytes=int(process + above), phase=peak.event.phase, badge="traced", notes=traced.notes,
    )


def _writing(setup: Setup, traced: int) -> tuple[str, ...]:
    """What is to be said of answers that the model writes, which the trace leaves to the formula."""
    if not (written := _written(setup)):
        return ()
    beside = "more than" if written > traced else "less than"
    return (f"Writing the answers isn't traced: by the formula it takes {gib(written)}, {beside} the step that learns "
            "from them.",)  # fmt: skip


def _written(setup: Setup) -> int:
    """Bytes at the fullest moment of writing answers; 0 where none are written."""
    if not setup.generated_rows:
        return 0
    phases = formula(setup).phases
    return max(phases[name] for name in ("prompt reading", "generation"))


def where(traced: Traced, event: Event) -> str:
    """The module at work with the number of its layer in the whole model, and the operation."""
    module, _, operation = event.where.partition(" ")
    at = traced.log.layers_at
    if at and event.layer is not None:
        module = re.sub(re.escape(at) + r"\d+", f"{at}{event.layer}", module, count=1)
    module = module or ("the loss" if event.phase.startswith("loss") else "the model")
    return f"{module} ({operation})" if operation else module


def _parts(held: dict[str, int], *, context: int, slack: int) -> MemoryParts:
    return MemoryParts(**{name: size for name, size in held.items() if name != "host"}, context=context, slack=slack)


def _timeline(traced: Traced, setup: Setup) -> tuple[tuple[TracePoint, ...], int]:
    """(the fullest moment of each stretch of the step, the peak of reserved bytes)."""
    chosen: list[Moment] = []
    stretch = max(1, -(-len(traced.log.events) // POINTS))
    for index, event, total, held in moments(traced.log):
        if event.phase in BEFORE:
            continue
        new = not chosen or index // stretch != chosen[-1].at // stretch
        if new:
            chosen.append(Moment(index, event, total, dict(held)))
        elif total > chosen[-1].total:
            chosen[-1] = Moment(index, event, total, dict(held))
    reserved, peak = _reserved(traced, setup, chosen)
    context = allocator.context(setup)
    points = tuple(
        TracePoint(
            event=moment.at, phase=moment.event.phase, where=where(traced, moment.event),
            allocated_bytes=moment.total, reserved_bytes=held,
            parts=_parts(moment.parts, context=context, slack=max(0, held - moment.total)),
        )
        for moment, held in zip(chosen, reserved, strict=True)
    )
    return points, peak


def _reserved(traced: Traced, setup: Setup, chosen: list[Moment]) -> tuple[list[int], int]:
    """Reserved bytes at each moment, and their peak; on a CPU what glibc's heaps keep, by the planner's rule."""
    if setup.device == "cpu":
        static, peak = traced.peaks.static, traced.allocated_bytes
        return [moment.total for moment in chosen], peak + allocator.slack(setup, static, peak - static)
    replayed = traced.reserved(expandable=setup.expandable)
    events = traced.log.on_device()
    first = next(index for index, event in enumerate(events) if event.phase not in BEFORE)
    offset = traced.log.training()[1] - first
    found: list[int] = []
    samples = iter(replayed.series)
    sample: Any = next(samples)
    held = sample.reserved
    for moment in chosen:
        while sample is not None and sample.event <= moment.at + offset + 1:
            held = sample.reserved
            sample = next(samples, None)
        found.append(max(held, moment.total))
    return found, replayed.peak_reserved
