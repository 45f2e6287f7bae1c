"""The memory that this process uses on the device it trains on: its peak, and giving back what isn't used."""

from __future__ import annotations

import gc
import os
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil


def reset_peak(device: str) -> None:
    """Forget the peak so far; a CPU's, kept by the kernel for the whole life of a process, can't be."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()


def peak_bytes(device: str) -> int:
    """The peak that counts against what was planned: reserved by CUDA's allocator, on a CPU the resident set."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_reserved())
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The kernel's getrusage remembers the attempt that ran out of memory before this one, beyond the exec.
    found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) << 10 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


Result = TypeVar("Result")


def without_cache(work: Callable[[], Result]) -> Result:
    """`work()`, and once more where memory ran out in it, after what torch keeps in reserve was given back."""
    from ftui.worker.recovery import MAY_BE_MEMORY, is_out_of_memory

    try:
        return work()
    except MAY_BE_MEMORY as error:
        if not is_out_of_memory(error):
            raise
    give_back()
    return work()


def give_back() -> None:
    """Hand memory that torch holds and nobody uses back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def process_bytes() -> int | None:
    """What the driver says that this process holds on its cards, the CUDA context included.

    None where it doesn't know, as in most containers, whose processes have other numbers inside than outside.
    """
    from ftui.hardware.driver import DriverError
    from ftui.hardware.nvml import Nvml

    try:
        driver = Nvml()
        found = [entry for gpu in range(driver.ask("count")) for entry in driver.ask("processes", gpu)]
    except DriverError:
        return None
    held = [entry["used_bytes"] for entry in found if entry["pid"] == os.getpid() and entry["used_bytes"]]
    return sum(held) or None


def readings(device: str) -> dict[str, Any]:
    """The memory and card keys of a `metric` event."""
    values: dict[str, Any] = {"rss_bytes": psutil.Process().memory_info().rss}
    if device != "cuda":
        return values
    import torch

    from ftui.hardware.gauges import gpu_stats

    values["gpu_allocated_bytes"] = torch.cuda.max_memory_allocated()
    values["gpu_reserved_bytes"] = torch.cuda.max_memory_reserved()
    if cards := gpu_stats():
        card = cards[0]
        values |= {
            "gpu_used_bytes": card["used_bytes"],
            "gpu_total_bytes": card["total_bytes"],
            "gpu_utilization": card["utilization"],
            "gpu_temperature_c": card["temperature_c"],
            "gpu_power_w": card["power_w"],
        }
    return values
