"""The badge of trust: how a number came about, as a word beside it or, where room is scarce, as its sign alone."""

from __future__ import annotations

from textual.content import Content

from ftui.planner.document import Badge, MemoryEstimate
from ftui.units import GiB, MiB

BADGES: dict[Badge, tuple[str, str, str]] = {
    "estimate": ("≈", "estimate", "dim"), "traced": ("◆", "traced", "$text-accent"),
    "measured": ("✔", "measured", "$text-success"),
}
"""Sign, word and style: a formula, the step itself without a GPU, the device's own word."""
ESTIMATE = BADGES["estimate"][0]


def unit_of(memory: MemoryEstimate) -> tuple[int, str, int]:
    """The unit that serves for the peak and all its parts: its bytes, its name and how many digits it is said with."""
    return (GiB, "GiB", 1) if memory.process_bytes >= GiB else (MiB, "MiB", 0)


def signed(memory: MemoryEstimate) -> Content:
    """The expected peak behind its badge's sign: "≈ 19.2 GiB"."""
    sign, _, style = BADGES[memory.badge]
    return Content.assemble((sign, style), f" {_peak(memory)}")


def trusted(memory: MemoryEstimate) -> Content:
    """The expected peak behind its badge, with its interval: "≈ estimate 19.2 GiB (18.6–19.7)"."""
    sign, word, style = BADGES[memory.badge]
    return Content.assemble(
        (f"{sign} {word}", style), " ", (_peak(memory), "bold"), (f" ({between(memory)})", "dim")
    )


def between(memory: MemoryEstimate) -> str:
    """The interval in the unit in which the expected peak is said: "18.6–19.7"."""
    unit, _, digits = unit_of(memory)
    return f"{memory.low_bytes / unit:.{digits}f}–{memory.high_bytes / unit:.{digits}f}"


def _peak(memory: MemoryEstimate) -> str:
    unit, name, digits = unit_of(memory)
    return f"{memory.process_bytes / unit:,.{digits}f} {name}"
