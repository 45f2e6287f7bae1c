"""What a container's cgroup lets this process use, by version 1 or 2 of the interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as a number near 2^63."""


@dataclass(frozen=True)
class Limits:
    """CPU cores and bytes of memory, None where the cgroup sets no limit.  `memory_used` leaves out file cache."""

    cores: float | None = None
    memory: int | None = None
    memory_used: int | None = None


def limits(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Limits:
    """The tightest limits on the way from this process's cgroup up to the root; none where there are no cgroups."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines() if line.count(":") >= 2]
    except (OSError, UnicodeDecodeError):
        return Limits()
    cores: list[float] = []
    memory: list[tuple[int, int | None]] = []
    for _, controllers, path in lines:
        names = controllers.split(",") if controllers else []
        if not names:
            for folder in _upwards(root, path):
                cores += _cores_v2(folder)
                memory += _memory_v2(folder)
        if "cpu" in names:
            for mount in ("cpu", controllers):
                for folder in _upwards(root / mount, path):
                    cores += _cores_v1(folder)
        if "memory" in names:
            for folder in _upwards(root / "memory", path):
                memory += _memory_v1(folder)
    tightest = min(memory, default=(None, None), key=lambda pair: pair[0] if pair[0] is not None else NO_LIMIT)
    return Limits(min(cores, default=None), *tightest)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The folders of this cgroup and its parents.  Inside a container the path may be the host's: then the root's."""
    folder = mount / path.lstrip("/")
    while folder != mount and mount in folder.parents:
        if folder.is_dir():
            yield folder
        folder = folder.parent
    yield mount


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text and text.lstrip("-").isdecimal() else None


def _cores_v2(folder: Path) -> list[float]:
    parts = (_read(folder / "cpu.max") or "").split()
    if len(parts) == 2 and all(part.isdecimal() for part in parts) and int(parts[1]):
        return [int(parts[0]) / int(parts[1])]
    return []


def _cores_v1(folder: Path) -> list[float]:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return [quota / period] if quota and period and quota > 0 else []


def _memory_v2(folder: Path) -> list[tuple[int, int | None]]:
    limit = _number(folder / "memory.max")
    return [] if limit is None else [(limit, _used(folder, "memory.current", "inactive_file"))]


def _memory_v1(folder: Path) -> list[tuple[int, int | None]]:
    limit = _number(folder / "memory.limit_in_bytes")
    if limit is None or limit >= NO_LIMIT:
        return []
    return [(limit, _used(folder, "memory.usage_in_bytes", "total_inactive_file"))]


def _used(folder: Path, usage: str, cache: str) -> int | None:
    """Bytes in use without the file cache that the kernel would drop, as `docker stats` counts them."""
    used = _number(folder / usage)
    if used is None:
        return None
    for line in (_read(folder / "memory.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == cache and value.isdecimal():
            return max(used - int(value), 0)
    return used
