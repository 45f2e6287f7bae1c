"""The badge of trust: how a number came about, as a word beside it or, where room is scarce, as its sign alone."""

from __future__ import annotations

from textual.content import Content

from ftui.planner.document import Badge, MemoryEstimate
from ftui.units import GiB, MiB, gib

BADGES: dict[Badge, tuple[str, str, str]] = {
    "estimate": ("≈", "estimate", "dim"), "traced": ("◆", "traced", "$text-accent"),
    "measured": ("✔", "measured", "$text-success"),
}
"""Sign, word and style: a formula, the step itself without a GPU, the device's own word."""
ESTIMATE = BADGES["estimate"][0]


def signed(memory: MemoryEstimate) -> Content:
    """The expected peak behind its badge's sign: "≈ 19.2 GiB"."""
    sign, _, style = BADGES[memory.badge]
    return Content.assemble((sign, style), f" {gib(memory.process_bytes)}")


def trusted(memory: MemoryEstimate) -> Content:
    """The expected peak behind its badge, with its interval: "≈ estimate 19.2 GiB (18.6–19.7)"."""
    sign, word, style = BADGES[memory.badge]
    low, high = between(memory)
    return Content.assemble(
        (f"{sign} {word}", style), " ", (gib(memory.process_bytes), "bold"), (f" ({low}–{high})", "dim")
    )


def between(memory: MemoryEstimate) -> tuple[str, str]:
    """The ends of the interval in the unit in which the expected peak is said."""
    unit, digits = (GiB, 1) if memory.process_bytes >= GiB / 10 else (MiB, 0)
    return f"{memory.low_bytes / unit:.{digits}f}", f"{memory.high_bytes / unit:.{digits}f}"
