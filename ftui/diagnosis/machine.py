"""What speed and memory show: a GPU that waits for rows, that was slowed down, memory that creeps up."""

from __future__ import annotations

from statistics import median
from typing import Any

from ftui.diagnosis.case import ONLINE, Case
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.finding import Finding
from ftui.diagnosis.track import Track, slope
from ftui.units import gib

WAITING = 0.25
"""Share of a step that is spent waiting for rows."""
SLOWER = 0.75
"""Of the usual speed."""
HOT = 80.0
"""Degrees Celsius from which NVIDIA's cards may slow down by themselves, a few below their limits of 83 to 90."""
MOST_WORKERS = 8
"""Processes that make batches; where so many don't suffice it is the disk."""
SAVE_MINUTES = 15.0
"""Between two checkpoints of a run that will run out of memory: so much is lost then at most."""
LEAST_GROWTH = 256 << 20
"""Bytes in the second half of what was seen: less is caches that fill."""


def input_bound(case: Case, chart: Chart) -> Finding | None:
    """The device waits for its rows."""
    if not chart.has("input_seconds", 40) or not chart.has("step_seconds", 40) or not chart.has("gpu_utilization", 1):
        return None
    waits, steps = chart["input_seconds"].newest(32), chart["step_seconds"].newest(32)
    share = median(wait / step for wait, step in zip(waits, steps, strict=False) if step > 0)
    if share < WAITING:
        return None
    busy = chart["gpu_utilization"].now(32)
    return Finding(
        "input_bound",
        f"The GPU waits {share:.0%} of each step for its rows and is busy {busy:.0%} of the time.",
        "The disk or the processor is too slow for it: more processes that make batches (compute.data_workers), or the "
        "data on a local disk.",
        {"waiting": share, "utilization": busy}, _more_workers(case),
    )


def _more_workers(case: Case) -> dict[str, Any]:
    """Twice as many processes beside the training, two at least; online objectives draw their own batches."""
    workers = case.recipe.compute.data_workers
    return {} if case.objective in ONLINE or workers >= MOST_WORKERS else {"compute.data_workers": max(2, 2 * workers)}


def slower(case: Case, chart: Chart) -> Finding | None:
    """Tokens per second have fallen for good; a hot card says why."""
    recipe = case.recipe
    if not chart.has("tokens_per_second", 160) or not chart.has("gpu_utilization", 1):
        return None
    if recipe.train.group_by_length or recipe.data.curriculum is not None or case.objective not in ("sft", "classify"):
        # Their speed changes with the lengths, which come in an order, or with the answers.
        return None
    speed = chart["tokens_per_second"]
    best = max(stretch.mean for stretch in speed.stretches() if stretch.count * 8 >= speed.count / 32)
    now = speed.now(64)
    if now >= SLOWER * best or max(speed.newest(16)) >= 0.9 * best:
        return None
    heat = chart["gpu_temperature_c"]
    evidence = {"best": best, "now": now}
    text = f"The training has slowed down from {best:,.0f} to {now:,.0f} tokens/s"
    if heat.count and heat.now(16) >= HOT:
        return Finding(
            "throttling", f"{text}; the card is at {heat.now(16):.0f} °C, where it slows itself down.",
            "See to its cooling, or lower its power limit (`nvidia-smi -pl`): a little less power costs little speed.",
            evidence | {"temperature": heat.now(16)},
        )
    return Finding(
        "slower", f"{text}.", "Another process may use the card or the disk: `nvidia-smi` and `ftui probe` show it.",
        evidence, severity="note",
    )


def memory_grows(case: Case, chart: Chart) -> Finding | None:
    """Memory rises steadily, and what there is won't last to the end."""
    for name, limit, what in (
        ("rss_bytes", case.host_bytes, "host"), ("gpu_allocated_bytes", case.device_bytes, "GPU"),
    ):
        if limit is None or not case.steps or not chart.has(name, 100):
            continue
        if found := _growth(case, chart[name], chart.step, limit, what):
            return found
    return None


def _growth(case: Case, track: Track, step: int, limit: int, what: str) -> Finding | None:
    points = [((s.first + s.last) / 2, s.mean) for s in track.stretches(step / 2)]
    rate, error = slope(points)
    grown = rate * step / 2
    at_end = track.now() + rate * ((case.steps or step) - step)
    if rate <= 8 * error or grown < max(LEAST_GROWTH, 0.03 * track.now()) or at_end < limit:
        return None
    left = (limit - track.now()) / rate
    return Finding(
        "memory_grows",
        f"The {what}'s memory grows by {gib(rate * 1000)} in 1,000 steps and is at {gib(track.now())}: the "
        f"{gib(limit)} there are last for about {max(left, 0):,.0f} more steps.",
        "Save often (train.save_minutes), and resume after the end: a fresh process starts small.",
        {"bytes_per_step": rate, "now": track.now(), "limit": float(limit)}, _saved_often(case), "grave",
    )


def _saved_often(case: Case) -> dict[str, Any]:
    minutes = case.recipe.train.save_minutes
    return {} if minutes is not None and minutes <= SAVE_MINUTES else {"train.save_minutes": SAVE_MINUTES}


RULES = (input_bound, slower, memory_grows)
