"""What a run writes: checkpoints kept, the output, and a little for logs.  Bytes."""

from __future__ import annotations

from ftui.methods.lora import CHANGES_BASE
from ftui.planner.lora import lora_frozen, lora_trained
from ftui.planner.partial import in_place
from ftui.planner.setup import Setup
from ftui.planner.states import optimizer_bytes, trainable_parameters, trained_bytes

LOGS = 32 << 20


def result_bytes(setup: Setup) -> int:
    """Size of the result: the adapter, or the whole model where its own weights train.

    A LoRA that began with a part of the base is saved at twice its rank in float32 (`worker/adapters/lora_result.py`).
    """
    plain = trained_elements(setup) * trained_bytes(setup)
    if setup.lora is None or setup.lora.init not in CHANGES_BASE:
        return plain
    bare = setup.lora.model_copy(update={"modules_to_save": (), "tokens": ()})
    matrices = sum(t.elements * t.count for t in lora_trained(bare, setup.rank, setup.targets, setup.geometry))
    return plain + matrices * (8 - trained_bytes(setup))


def trained_elements(setup: Setup) -> int:
    """Elements that a checkpoint holds: what trains, and an adapter's frozen matrices with it."""
    if setup.full or in_place(setup.options):
        return setup.geometry.parameters
    frozen = lora_frozen(setup.lora, setup.rank, setup.targets, setup.geometry) if setup.lora else 0
    return setup.adapter_parameters + frozen


def checkpoint_bytes(setup: Setup) -> int:
    """One checkpoint: what trains, and its optimizer states wherever those live."""
    paged = setup.optimizer == "paged_adamw_8bit"
    states = 2 * trainable_parameters(setup) if paged else optimizer_bytes(setup)
    # The mean is among the states; the weights as they train stand beside it.
    own = trainable_parameters(setup) * trained_bytes(setup) if setup.averaged else 0
    return trained_elements(setup) * trained_bytes(setup) + states + own


def disk_bytes(setup: Setup, keep: int) -> int:
    """The kept checkpoints, the best one, one more while it is written, and the output."""
    return (keep + 2) * checkpoint_bytes(setup) + result_bytes(setup) + LOGS
