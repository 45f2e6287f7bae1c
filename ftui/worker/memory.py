"""The peak of memory that this process has used on the device it trains on."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

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
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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
