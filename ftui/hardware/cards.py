"""NVIDIA's GPUs and MIG slices as a driver tells them, with a sentence for everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ftui.hardware.box import Machine
from ftui.hardware.document import Gpu, GpuProcess
from ftui.hardware.driver import Driver, DriverError, DriverHangs
from ftui.units import plain

BF16, FP8, FLASH_ATTENTION = (8, 0), (8, 9), (8, 0)
"""Least compute capability: bf16 matrix units since Ampere, fp8 since Ada, FlashAttention 2 since Ampere.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities and
https://github.com/Dao-AILab/flash-attention#nvidia-cuda-support
"""

REMEDIES = {
    "DriverNotLoaded": "load its kernel module with `sudo modprobe nvidia`, or reboot",
    "LibRmVersionMismatch": "it was updated while the old one was loaded; reboot",
    "LibraryVersionMismatch": "it was updated while the old one was loaded; reboot",
    "NoPermission": "ask to be added to the group that may use it, often `video` or `render`",
    "GpuIsLost": "it has fallen off the bus; reboot, and look for Xid messages in `dmesg`",
    "ResetRequired": "it needs a reset; `sudo nvidia-smi --gpu-reset`, or reboot",
    "InsufficientPower": "its power cables are not connected",
    "IrqIssue": "the kernel has trouble with its interrupts; reboot, and look at `dmesg`",
    "Unknown": "restart the container (access to the GPU is lost when systemd reloads), or reboot",
    "Hangs": "look for Xid messages in `dmesg`, and reboot",
    "Crashed": "run `nvidia-smi`, and reboot if it fails, too",
    "LibraryNotFound": "install NVIDIA's driver; in a container, start it with `--gpus all`",
}
"""What to do, by the name of NVML's error."""


class Cards:
    """Reads every GPU; what can't be read is None, and what is wrong goes to `problems`."""

    def __init__(self, driver: Driver, machine: Machine) -> None:
        self.driver, self.machine = driver, machine
        self.problems: list[str] = []
        self.driver_version: str | None = None
        self.cuda_version: str | None = None

    def read(self) -> tuple[Gpu, ...]:
        """All GPUs and slices; none, with the reason among the problems, where the driver doesn't work."""
        try:
            self.driver_version = _text(self.driver.ask("driver_version"))
            count = _integer(self.driver.ask("count")) or 0
        except DriverError as error:
            self._driver_fails(error)
            return ()
        cuda = _integer(self._ask("cuda_version"))
        self.cuda_version = f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None
        gpus = tuple(gpu for index in range(min(count, 1024)) for gpu in self._gpu(index))
        if count == 0 and self.machine.nvidia_cards:
            self.problems.append(
                "NVIDIA's driver works but shows no GPU: in a container, start it with `--gpus all`; under Slurm, ask "
                "for one with `--gres=gpu:1`."
            )
        return gpus

    def _driver_fails(self, error: DriverError) -> None:
        if error.code == "LibraryNotFound" and not self.machine.nvidia_cards:
            return
        cards = self.machine.nvidia_cards
        there = f"This machine has {cards} NVIDIA GPU{'s' if cards > 1 else ''}, but " if cards else ""
        known = {"LibraryNotFound": "no driver is installed", "Hangs": "the driver does not answer"}
        why = known.get(error.code) or f"the driver fails ({plain(str(error)).rstrip('.')})"
        remedy = REMEDIES.get(error.code, "run `nvidia-smi` to see what it says")
        sentence = f"{there}{why}: {remedy}. ftui goes on with the CPU."
        self.problems.append(sentence[0].upper() + sentence[1:])

    def _ask(self, question: str, *where: int) -> Any:
        """An answer, or None where the card has none; a call that hangs is a problem worth saying."""
        try:
            return self.driver.ask(question, *where)
        except DriverHangs as error:
            self._say(f"NVIDIA's driver hangs ({error}): {REMEDIES['Hangs']}.")
        except DriverError as error:
            if error.code in ("GpuIsLost", "ResetRequired", "InsufficientPower", "IrqIssue") and where:
                self._say(f"GPU {where[0]} does not work: {REMEDIES[error.code]}.")
            elif error.code == "Crashed":
                self._say(f"NVIDIA's driver fails ({error}): {REMEDIES['Crashed']}.")
        return None

    def _say(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _gpu(self, index: int) -> Iterator[Gpu]:
        """The GPU at `index`, or its slices where it is in MIG mode and has some."""
        name = _text(self._ask("name", index)) or f"NVIDIA GPU {index}"
        capability = _pair(self._ask("compute_capability", index))
        mig = self._ask("mig_mode", index) is True
        ecc = self._ask("ecc", index)
        common: dict[str, Any] = {
            "index": index, "compute_capability": capability, "mig_mode": mig,
            "ecc": ecc if isinstance(ecc, bool) else None,
            "bf16": _at_least(capability, BF16), "fp8": _at_least(capability, FP8),
            "flash_attention": _at_least(capability, FLASH_ATTENTION),
            "temperature_c": _float(self._ask("temperature", index)),
            "power_w": _float(self._ask("power", index)), "power_limit_w": _float(self._ask("power_limit", index)),
        }
        self._health(index, name)
        if mig:
            slices = list(self._slices(index, name, common))
            if not slices:
                self._say(
                    f"GPU {index} ({name}) is in MIG mode but has no slice that we may use: make one with "
                    f"`sudo nvidia-smi mig -i {index} -cgi 9 -C`, or leave MIG mode."
                )
            else:
                yield from slices
                return
        memory = self._memory("memory", index) or self._shared_memory(index, name)
        if memory is None:
            return
        mode = self._ask("compute_mode", index)
        processes = self._processes("processes", index)
        if mode == "prohibited":
            self._say(f"GPU {index} ({name}) refuses all compute: `sudo nvidia-smi -i {index} -c DEFAULT` allows it.")
        elif mode in ("exclusive process", "exclusive thread") and processes:
            self._say(f"GPU {index} ({name}) takes one process at a time, and pid {processes[0].pid} has it: wait.")
        yield Gpu(
            name=name, uuid=_text(self._ask("uuid", index)), processes=processes,
            utilization=_share(self._ask("utilization", index)),
            visible=not mig and mode != "prohibited", **memory, **common,
        )

    def _slices(self, index: int, name: str, common: dict[str, Any]) -> Iterator[Gpu]:
        slots = _integer(self._ask("mig_slots", index)) or 0
        for part in range(min(slots, 64)):
            memory = self._memory("slice_memory", index, part)
            if memory is None:
                continue
            yield Gpu(
                name=_text(self._ask("slice_name", index, part)) or f"{name} MIG slice {part}",
                uuid=_text(self._ask("slice_uuid", index, part)), mig=True,
                processes=self._processes("slice_processes", index, part), **memory, **common,
            )

    def _health(self, index: int, name: str) -> None:
        errors = _integer(self._ask("ecc_errors", index))
        if errors:
            self._say(
                f"GPU {index} ({name}) has had {errors} memory errors that could not be corrected since it was reset: "
                f"`sudo nvidia-smi --gpu-reset -i {index}`, and if they come back, it is broken."
            )

    def _memory(self, question: str, *where: int) -> dict[str, Any] | None:
        answer = self._ask(question, *where)
        if not isinstance(answer, dict):
            return None
        total, used, free = (_integer(answer.get(name)) for name in ("total", "used", "free"))
        if not total or total < 0:
            return None
        free = total - (used or 0) if free is None else free
        free = min(max(free, 0), total)
        return {"total_bytes": total, "used_bytes": total - free if used is None else max(used, 0), "free_bytes": free}

    def _shared_memory(self, index: int, name: str) -> dict[str, Any] | None:
        """Cards that share the host's memory (GB10, Jetson) have none of their own to report."""
        try:
            self.driver.ask("memory", index)
        except DriverError as error:
            if error.code == "NotSupported":
                ram = self.machine.ram
                return {
                    "total_bytes": ram.total_bytes, "used_bytes": ram.total_bytes - ram.available_bytes,
                    "free_bytes": ram.available_bytes,
                }
        self._say(f"GPU {index} ({name}) does not tell its memory, so it is left out: run `nvidia-smi` to see why.")
        return None

    def _processes(self, question: str, *where: int) -> tuple[GpuProcess, ...]:
        answer = self._ask(question, *where)
        found = []
        for entry in answer if isinstance(answer, list) else ():
            pid = _integer(entry.get("pid")) if isinstance(entry, dict) else None
            if pid is not None:
                used = _integer(entry.get("used_bytes"))
                found.append(GpuProcess(
                    pid=pid, name=_text(entry.get("name")), user=_text(entry.get("user")),
                    used_bytes=used if used is not None and used >= 0 else None,
                ))
        return tuple(sorted(found, key=lambda process: -(process.used_bytes or 0)))


def _at_least(capability: tuple[int, int] | None, least: tuple[int, int]) -> bool:
    return capability is not None and capability >= least


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _share(value: Any) -> float | None:
    number = _float(value)
    return None if number is None else min(max(number, 0.0), 1.0)


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, list | tuple) and len(value) == 2 and all(_integer(part) is not None for part in value):
        return int(value[0]), int(value[1])
    return None
