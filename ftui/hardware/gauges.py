"""What the GPUs do right now, cheap enough to be asked at every step: it never raises and never waits for the driver.

A thread of its own reads NVML about once a second, so that a driver that hangs stops the gauges and nothing else.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ftui.hardware.driver import Driver, DriverError
from ftui.hardware.visible import chosen

EVERY_SECONDS = 1.0
STALE_SECONDS = 15.0
FIRST_SECONDS = 1.0
"""How long the first call waits for the first reading: NVML takes about so long to start."""


class Gauges:
    """The newest reading of `driver` (NVML), taken by a daemon thread that starts with the first question."""

    def __init__(self, driver: Driver | None = None) -> None:
        self._driver = driver
        self._stats: list[dict[str, Any]] = []
        self._time = 0.0
        self._thread: threading.Thread | None = None
        self._first = threading.Event()
        self._wanted = threading.Event()

    def read(self, wait: float = FIRST_SECONDS) -> list[dict[str, Any]]:
        """The newest reading, empty where there is none from the last seconds; a new one is asked for.

        Only the first call waits, and `wait` seconds at most.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="gpu-gauges", daemon=True)
            self._thread.start()
        self._wanted.set()
        self._first.wait(wait)
        fresh = self._stats if time.monotonic() - self._time < STALE_SECONDS else []
        return _visible(fresh)

    def _work(self) -> None:
        try:
            self._watch()
        except Exception:  # noqa: BLE001 - gauges are for looking: a run must not end because they do
            self._stats = []
        finally:
            self._first.set()

    def _watch(self) -> None:
        driver = self._driver
        if driver is None:
            from ftui.hardware.nvml import Nvml

            try:
                driver = Nvml()
            except (DriverError, ImportError):
                return
        devices = list(_devices(driver))
        while devices:
            self._wanted.wait()
            self._wanted.clear()
            self._stats = [stats for uuid, where in devices if (stats := _stats(driver, uuid, *where))]
            self._time = time.monotonic()
            self._first.set()
            time.sleep(EVERY_SECONDS)


def _devices(driver: Driver) -> Iterator[tuple[str | None, tuple[int, ...]]]:
    """UUID and place of every GPU, or of its slices where it is cut into some."""
    for index in range(driver.ask("count")):
        slots = _ask(driver, "mig_slots", index) if _ask(driver, "mig_mode", index) is True else None
        places: list[tuple[int, ...]] = [(index, part) for part in range(slots or 0)]
        slices = [place for place in places if _ask(driver, "slice_memory", *place)]
        for where in slices or [(index,)]:
            uuid = _ask(driver, "slice_uuid" if slices else "uuid", *where)
            yield uuid if isinstance(uuid, str) else None, where


@dataclass(frozen=True)
class _Device:
    index: int
    uuid: str | None
    stats: dict[str, Any]


def _visible(stats: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that CUDA_VISIBLE_DEVICES leaves now, in CUDA's order: a process may set it after its first look."""
    devices = [_Device(one["index"], one["uuid"], one) for one in stats]
    return [device.stats for device in chosen(devices, os.environ.get("CUDA_VISIBLE_DEVICES"))]


def _stats(driver: Driver, uuid: str | None, *where: int) -> dict[str, Any] | None:
    memory = _ask(driver, "slice_memory" if len(where) > 1 else "memory", *where)
    if not isinstance(memory, dict):
        return None
    index = where[0]
    return {
        "index": index, "uuid": uuid, "total_bytes": memory["total"], "used_bytes": memory["used"],
        "free_bytes": memory["free"], "utilization": None if len(where) > 1 else _ask(driver, "utilization", index),
        "temperature_c": _ask(driver, "temperature", index), "power_w": _ask(driver, "power", index),
    }


def _ask(driver: Driver, question: str, *where: int) -> Any:
    try:
        return driver.ask(question, *where)
    except DriverError:
        return None


_gauges: Gauges | None = None
_owner = 0


def gpu_stats(wait: float = FIRST_SECONDS) -> list[dict[str, Any]]:
    """One mapping for each visible NVIDIA GPU or MIG slice, in CUDA's order; empty without one.

    Keys: index, uuid, total_bytes, used_bytes, free_bytes, utilization (0..1), temperature_c, power_w; what a card
    doesn't tell is None.  The reading is at most about a second older than the last call; only the first call waits
    for one, `wait` seconds at most (NVML may need ten to wake many idle GPUs).
    """
    global _gauges, _owner
    if _gauges is None or _owner != os.getpid():
        # A forked child has no thread of its parent's.
        _gauges, _owner = Gauges(), os.getpid()
    return _gauges.read(wait)
