"""Everything about this machine besides its NVIDIA GPUs: CPU, memory, disks, torch's files, the environment."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from ftui.hardware import cgroup
from ftui.hardware.box import Machine
from ftui.hardware.document import Cpu, Disk, Gpu, Ram
from ftui.hardware.other_gpus import amd_gpus, apple_gpu
from ftui.hardware.torch_build import read_build
from ftui.paths import hub_cache_dir, runs_dir

VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
)

VOLATILE = ("tmpfs", "ramfs", "overlay", "overlayfs", "aufs", "squashfs", "rootfs", "devtmpfs")
"""Filesystems whose content vanishes with the machine, the container or its session."""

NOT_FOR_DATA = ("/proc", "/sys", "/dev", "/run", "/boot", "/etc", "/snap", "/usr", "/var/lib/docker")


def read_machine() -> Machine:
    """What this machine has, now.  What can't be read is left out rather than raised."""
    limits = cgroup.limits()
    ram = read_ram(limits)
    amd, problems = amd_gpus()
    disks = (_disk("runs", runs_dir()), _disk("hub cache", hub_cache_dir()))
    return Machine(
        host=platform.node() or "localhost",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=read_cpu(limits),
        ram=ram,
        disks=tuple(disk for disk in disks if disk),
        other_disks=_other_disks(),
        torch=read_build(),
        environment={name: os.environ[name] for name in VARIABLES if name in os.environ},
        nvidia_cards=_nvidia_cards(),
        other_gpus=_numbered((*amd, *apple_gpu(ram.total_bytes, ram.available_bytes))),
        problems=problems,
    )


def read_cpu(limits: cgroup.Limits) -> Cpu:
    """The cores that this process may use: the host's, its affinity, or the container's quota, whichever is least."""
    host = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else host
    cores = min(allowed, limits.cores) if limits.cores else allowed
    return Cpu(name=_cpu_name(), cores=round(cores, 2), host_cores=host, architecture=platform.machine())


def read_ram(limits: cgroup.Limits) -> Ram:
    """Host memory, or the cgroup's share of it where that is less."""
    import psutil

    memory = psutil.virtual_memory()
    if limits.memory is None or limits.memory >= memory.total:
        return Ram(total_bytes=memory.total, available_bytes=memory.available)
    left = limits.memory - (limits.memory_used or 0)
    return Ram(
        total_bytes=limits.memory, available_bytes=max(min(left, memory.available), 0), limited_by="cgroup"
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for key in ("model name", "Hardware", "cpu model"):
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == key and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine() or "CPU"


def _disk(purpose: str, path: Path) -> Disk | None:
    """The disk below `path`, which need not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    kind = filesystem_of(path)
    return Disk(
        purpose=purpose,  # type: ignore[arg-type]  # one of the three literals, by this module's own calls
        path=str(path), total_bytes=usage.total, free_bytes=usage.free, filesystem=kind, volatile=kind in VOLATILE,
    )


def filesystem_of(path: Path) -> str | None:
    """The filesystem type of the mount that holds `path`, None where it can't be told."""
    resolved = str(path.resolve())
    best: tuple[int, str | None] = (0, None)
    for mount, kind in _mounts():
        inside = resolved == mount or resolved.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= best[0]:
            best = (len(mount), kind)
    return best[1]


def _mounts() -> list[tuple[str, str]]:
    """Mount points with their filesystem types, the later mount of the same point last."""
    import psutil

    try:
        return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    except (OSError, psutil.Error):
        return []


def _other_disks() -> tuple[Disk, ...]:
    """Up to three mounts that are writable and stay, roomiest first: where runs and caches could go instead."""
    found: dict[tuple[int, int], Disk] = {}
    for mount, kind in _mounts():
        path = Path(mount)
        if kind in VOLATILE or mount.startswith(NOT_FOR_DATA) or not os.access(mount, os.W_OK) or not path.is_dir():
            continue
        if disk := _disk("other", path):
            # The same filesystem is often mounted in several places.
            found.setdefault((disk.total_bytes, disk.free_bytes), disk)
    return tuple(sorted(found.values(), key=lambda disk: -disk.free_bytes)[:3])


def _nvidia_cards(sys_folder: Path = Path("/sys")) -> int:
    """NVIDIA display controllers on the PCI bus; class 0x03 is display, vendor 0x10de NVIDIA."""
    count = 0
    for device in (sys_folder / "bus" / "pci" / "devices").glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except (OSError, UnicodeDecodeError):
            continue
        count += vendor == "0x10de" and kind.startswith("0x03")
    return count


def _numbered(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    return tuple(gpu.model_copy(update={"index": index}) for index, gpu in enumerate(gpus))
