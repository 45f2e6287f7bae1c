"""Who else holds memory of a card, in words."""

from __future__ import annotations

import time

from ftui.hardware.document import Gpu, GpuProcess
from ftui.units import gib, plain

NOTEWORTHY = 256 << 20
"""What a screen or an idle tool holds is less, and stands in nobody's way."""


def others(gpu: Gpu, own: int | None = None) -> tuple[GpuProcess, ...]:
    """The processes on `gpu`, but for that with the pid `own`, which hold something, or of which it isn't known; those
    that hold most first."""
    found = [one for one in gpu.processes if one.pid != own and (one.used_bytes is None or one.used_bytes > 0)]
    return tuple(sorted(found, key=lambda one: (-(one.used_bytes or 0), one.pid)))


def said(gpu: Gpu, taken: int, own: int | None = None) -> str:
    """Who holds the `taken` bytes of `gpu` that aren't the process `own`'s, as a clause: "process 4711 (python, user
    ann) holds 9.2 GiB of the card since 14:02"."""
    known = [one for one in others(gpu, own) if (one.used_bytes or taken) >= NOTEWORTHY]
    if not known:
        # Containers show only their own processes.
        return f"other processes, which can't be seen from here, hold {gib(taken)} of the card"
    clauses = [_clause(one, taken if len(known) == 1 else None) for one in known[:2]]
    more = f" and {len(known) - 2} more" if len(known) > 2 else ""
    return f"{' and '.join(clauses)}{more}"


def _clause(one: GpuProcess, taken: int | None) -> str:
    held = one.used_bytes or taken
    who = ", ".join(filter(None, (plain(one.name or ""), f"user {plain(one.user)}" if one.user else "")))
    amount = f"{gib(held)} of the card" if held else "some of the card"
    return f"process {one.pid}{f' ({who})' if who else ''} holds {amount}{_since(one)}"


def _since(one: GpuProcess) -> str:
    """When the process began; nothing where it isn't one of this host, or container."""
    import psutil

    try:
        if one.name is None:
            return ""
        process = psutil.Process(one.pid)
        if process.name() != one.name:
            return ""
        began = process.create_time()
    except psutil.Error:
        return ""
    form = "%H:%M" if time.time() - began < 86_400 else "%Y-%m-%d"
    return f" since {time.strftime(form, time.localtime(began))}"
