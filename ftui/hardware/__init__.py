"""What this machine has: `probe()` reads it, `load()` takes it from a file, `gpu_stats()` is for live gauges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftui.hardware.box import load
    from ftui.hardware.gauges import gpu_stats
    from ftui.hardware.probing import probe, record, replay

_HOMES = {"gpu_stats": "gauges", "load": "box", "probe": "probing", "record": "probing", "replay": "probing"}

__all__ = ["gpu_stats", "load", "probe", "record", "replay"]


def __getattr__(name: str) -> Any:
    """Import a function when it is first asked for, so that the child that asks the driver starts fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ftui.hardware.{_HOMES[name]}"), name)
