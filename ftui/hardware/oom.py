"""How often the kernel's OOM killer has struck, by its own counters: nobody else says whom it has ended."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MACHINE = Path("/proc/vmstat")
"""Counts the kills of the whole machine, those in memory groups among them (Linux 4.13 and later)."""


def counters() -> dict[str, int]:
    """By file the number of processes that were ended: that of this process's own memory group, and the machine's.

    Nothing for what this system doesn't count.
    """
    found = {str(path): kills(path) for path in (*_groups(), MACHINE)}
    return {path: number for path, number in found.items() if number is not None}


def kills(path: Path) -> int | None:
    """The number in one of these files now; None where it isn't there, as when the memory group has gone."""
    try:
        for line in path.read_text().splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill" and number.isdecimal():
                return int(number)
    except (OSError, UnicodeDecodeError):
        pass
    return None


def _groups() -> list[Path]:
    """Where the memory group of this process counts: version 2 of the interface, or version 1."""
    try:
        lines = [line.split(":", 2) for line in MEMBERSHIP.read_text().splitlines() if line.count(":") >= 2]
    except (OSError, UnicodeDecodeError):
        return []
    groups = []
    for _, controllers, path in lines:
        # Inside a container the path may be the host's; the group then is the one that is mounted at the root.
        if not controllers:
            groups += [ROOT / path.lstrip("/") / "memory.events", ROOT / "memory.events"]
        elif "memory" in controllers.split(","):
            groups += [ROOT / "memory" / path.lstrip("/") / "memory.oom_control", ROOT / "memory/memory.oom_control"]
    return [group for group in groups if group.exists()][:1]
