"""Which GPUs a CUDA process would see: the rules of CUDA_VISIBLE_DEVICES.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables and, for MIG,
https://docs.nvidia.com/datacenter/tesla/mig-user-guide/#cuda-visible-devices
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Listed(Protocol):
    """What the variable can name: a GPU or a slice of one."""

    @property
    def index(self) -> int:
        """Its number in NVML's order, a slice's that of its GPU."""
        ...

    @property
    def uuid(self) -> str | None:
        """Its own UUID."""
        ...


Device = TypeVar("Device", bound=Listed)


def chosen(gpus: Sequence[Device], setting: str | None) -> tuple[Device, ...]:
    """The GPUs (and MIG slices) that `setting` names, in its order; all of them where it is None.

    Entries are indices, UUIDs or the beginning of one; the first that names nothing ends the list, as CUDA has it.
    """
    if setting is None:
        return tuple(gpus)
    found: list[Device] = []
    for entry in (part.strip() for part in setting.split(",")):
        match = _named(gpus, entry)
        if match is None:
            break
        if not any(match is one for one in found):
            found.append(match)
    return tuple(found)


def _named(gpus: Sequence[Device], entry: str) -> Device | None:
    if not entry:
        return None
    if entry.isdecimal():
        return next((gpu for gpu in gpus if gpu.index == int(entry)), None)
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    matches = [gpu for gpu in gpus if gpu.uuid and gpu.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
