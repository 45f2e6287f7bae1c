"""`Calibration`: what is known of this machine's own devices, by measuring and from finished runs.

`ftui.calibration` gathers it from files; the planner takes it as an argument and stays pure.
"""

from __future__ import annotations

from ftui.documents import Document

BASIS = 2
"""Version of the time model: a run that was planned with another one teaches nothing about this one."""
FEW = 3
"""Finished runs from which on their median is trusted; fewer move the estimate half of the way."""


class Measured(Document):
    """Rates of one device as `ftui calibrate` found them: TFLOP/s, GB/s, seconds per kernel."""

    version: int = 1
    device: str
    """As the driver calls the card, or the processor's name."""
    driver: str | None = None
    torch: str
    day: str
    """Date of the measurement, such as 2026-11-22."""
    half: float
    """Large 16-bit matrix products."""
    single: float
    """Large float32 matrix products."""
    bandwidth: float
    """A copy of a large tensor, read and written."""
    launch: float
    """One of a thousand tiny operations in a row."""
    dequantization: float | None = None
    """Bytes read and written while 4-bit weights become 16-bit ones; None where bitsandbytes is missing."""
    context_bytes: int | None = None
    """The process's memory on the card less what torch's allocator reserved; None on a CPU."""
    threads: int | None = None
    """CPU threads that measured; None on a GPU."""
    probe_seconds: float | None = None
    """A step of the two-layer training probe."""
    probe_predicted: float | None = None
    """The same by the time model from the rates above."""
    doubt: float = 1.3
    """The factor either way that the interval keeps: from how far the probe was from its prediction."""

    @property
    def factor(self) -> float:
        """Measured over predicted seconds of the probe, 1 where it did not run; a wild one is taken for a third."""
        if not self.probe_seconds or not self.probe_predicted:
            return 1.0
        return min(3.0, max(1 / 3, self.probe_seconds / self.probe_predicted))


class Learned(Document):
    """What finished runs on one device say of the plan they were made with: medians of measured over predicted."""

    device: str
    step: float = 1.0
    step_spread: float = 1.5
    """The factor either way within which the runs lay around their median."""
    runs: int = 0
    memory: float = 1.0
    memory_low: float = 1.0
    memory_high: float = 1.0
    memory_runs: int = 0


class Calibration(Document):
    """All that is known of this machine, by device; `problems` are files that could not be used, in sentences."""

    measured: dict[str, Measured] = {}
    learned: dict[str, Learned] = {}
    problems: tuple[str, ...] = ()

    def basis(self, device: str) -> str:
        """What a prediction for `device` rests on, before runs correct it: their factor holds for this basis only."""
        found = self.measured.get(device)
        return f"{BASIS}" if found is None else f"{BASIS} {found.day} {found.half:.4g} {found.single:.4g}"
