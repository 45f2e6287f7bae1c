"""What is free where a run trains, and what of it is kept in reserve."""

from __future__ import annotations

from typing import Literal

from ftui.hardware.document import Hardware
from ftui.units import GiB

Device = Literal["cuda", "cpu"]

RESERVE_SHARE = 0.03
RESERVE_LEAST = GiB // 2


def budget(hardware: Hardware, device: Device) -> int:
    """Bytes that are free now where a run trains."""
    return hardware.ram.available_bytes if device == "cpu" else hardware.budget_bytes


def reserve(hardware: Hardware, device: Device) -> int:
    """What is kept free: 3 % of the device, at least half a GiB, for what other processes and the display take."""
    total = hardware.ram.total_bytes if device == "cpu" or hardware.gpu is None else hardware.gpu.total_bytes
    return max(int(RESERVE_SHARE * total), RESERVE_LEAST)
