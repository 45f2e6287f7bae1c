"""What a run writes: checkpoints kept, the output, and a little for logs.  Bytes."""

from __future__ import annotations

from ftui.planner.partial import in_place
from ftui.planner.setup import Setup
from ftui.planner.states import optimizer_bytes, trainable_parameters, trained_bytes

LOGS = 32 << 20


def result_bytes(setup: Setup) -> int:
    """Size of the result: the adapter, or the whole model where its own weights train."""
    whole = setup.full or in_place(setup.options)
    return (setup.geometry.parameters if whole else setup.adapter_parameters) * trained_bytes(setup)


def checkpoint_bytes(setup: Setup) -> int:
    """One checkpoint: what trains, and its optimizer states wherever those live."""
    paged = setup.optimizer == "paged_adamw_8bit"
    states = 2 * trainable_parameters(setup) if paged else optimizer_bytes(setup)
    return result_bytes(setup) + states


def disk_bytes(setup: Setup, keep: int) -> int:
    """The kept checkpoints, the best one, one more while it is written, and the output."""
    return (keep + 2) * checkpoint_bytes(setup) + result_bytes(setup) + LOGS
