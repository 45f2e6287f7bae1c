"""`probe()`: what this machine has, at this moment.  It never raises for a broken machine and never hangs."""

from __future__ import annotations

import time
from pathlib import Path

from ftui.errors import BadInput, Refused
from ftui.files import write_atomic
from ftui.hardware.apart import Apart
from ftui.hardware.box import Box, Machine, Recorded, Recording
from ftui.hardware.cards import Cards
from ftui.hardware.document import Disk, Gpu, Hardware
from ftui.hardware.driver import Driver
from ftui.hardware.machine import read_machine
from ftui.hardware.torch_build import against
from ftui.hardware.visible import chosen
from ftui.units import GiB, gib

LITTLE_DISK = 20 * GiB
"""Below this, one model of 8 B parameters no longer fits into the hub cache."""


def probe(driver: Driver | None = None, machine: Machine | None = None) -> Hardware:
    """What this machine has: its GPUs by `driver` (NVML in a child process), the rest by `machine` (read here).

    Never raises for anything the driver does: what is broken is a sentence in `problems`, with what to do.
    """
    own = driver is None
    driver = driver or Apart()
    machine = machine or read_machine()
    cards = Cards(driver, machine)
    try:
        gpus = cards.read()
    except Exception as error:  # noqa: BLE001 - a driver that answers nonsense must not keep anybody from the CPU
        gpus = ()
        cards.problems.append(f"The GPUs could not be read ({type(error).__name__}: {error}): run `nvidia-smi`.")
    finally:
        if own:
            driver.close()
    return _hardware(gpus, cards, machine)


def replay(box: Box) -> Hardware:
    """The hardware that a recorded box was."""
    return probe(Recorded(box.answers), box.machine)


def record(path: Path, driver: Driver | None = None) -> Hardware:
    """Probe this machine and write it to `path` as a box; its name and its users' are left out of the file."""
    if not path.parent.is_dir() or path.is_dir():
        what = f"{path} is a folder." if path.is_dir() else f"There is no folder {path.parent} to write {path.name} in."
        raise BadInput(what, "Name a file in a folder that is there: --record box.json")
    recording = Recording(driver or Apart())
    machine = read_machine()
    try:
        hardware = probe(recording, machine)
    finally:
        recording.close()
    box = Box(answers=recording.answers, machine=machine.model_copy(update={"host": "recorded"}))
    try:
        write_atomic(path, box.to_json() + "\n", mode=0o644)
    except OSError as error:
        raise Refused(f"{path} can't be written: {error.strerror}.", "Name a file in a folder of your own.") from None
    return hardware


def _hardware(gpus: tuple[Gpu, ...], cards: Cards, machine: Machine) -> Hardware:
    setting = machine.environment.get("CUDA_VISIBLE_DEVICES")
    seen = {id(gpu) for gpu in chosen(gpus, setting)}
    nvidia = tuple(gpu.model_copy(update={"visible": gpu.visible and id(gpu) in seen}) for gpu in gpus)
    every = (*nvidia, *machine.other_gpus)
    usable = [gpu for gpu in every if gpu.visible]
    torch = against(machine.torch, usable, cards.driver_version, cards.cuda_version)
    problems = [*cards.problems, *machine.problems, *_visibility(nvidia, setting, machine), *_disks(machine)]
    return Hardware(
        host=machine.host, system=machine.system, time=time.time(), gpus=every, driver=cards.driver_version,
        cuda_driver=cards.cuda_version, visible_devices=setting, cpu=machine.cpu, ram=machine.ram,
        disks=machine.disks, other_disks=machine.other_disks, torch=torch, problems=tuple(problems),
    )


def _visibility(gpus: tuple[Gpu, ...], setting: str | None, machine: Machine) -> list[str]:
    if setting is None or not gpus:
        return []
    hidden = [gpu for gpu in gpus if not gpu.visible]
    if len(hidden) == len(gpus):
        return [f"CUDA_VISIBLE_DEVICES={setting!r} hides every GPU: `unset CUDA_VISIBLE_DEVICES` to use them."]
    by_index = any(part.strip().isdecimal() for part in setting.split(","))
    in_bus_order = machine.environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if by_index and not in_bus_order and len({gpu.name for gpu in gpus}) > 1:
        return [
            f"CUDA_VISIBLE_DEVICES={setting} counts different GPUs fastest first, not as listed here: "
            "`export CUDA_DEVICE_ORDER=PCI_BUS_ID`, or name them by UUID."
        ]
    return []


def _disks(machine: Machine) -> list[str]:
    problems = []
    for disk in machine.disks:
        variable, what = ("FTUI_HOME", "Runs go") if disk.purpose == "runs" else ("HF_HOME", "Downloads go")
        better = _roomier(disk, machine.other_disks)
        where = f"{better.path} ({gib(better.free_bytes, 0)} free)" if better else "a disk that stays"
        if disk.volatile:
            problems.append(
                f"{what} to {disk.path} ({disk.filesystem}), which may vanish with this machine or container: "
                f"set {variable} to {where}."
            )
        elif disk.free_bytes < LITTLE_DISK:
            move = f", or set {variable} to {where}" if better else ""
            problems.append(f"{what} to {disk.path}, which has only {gib(disk.free_bytes)} left: make room{move}.")
    return problems


def _roomier(disk: Disk, others: tuple[Disk, ...]) -> Disk | None:
    return next((one for one in others if disk.volatile or one.free_bytes > 2 * disk.free_bytes), None)
