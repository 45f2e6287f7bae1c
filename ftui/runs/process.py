"""Which process is which: an identity that survives reused pids, clock changes, containers and other hosts."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil

PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """One process on one machine.

    `started` is in clock ticks since boot where /proc tells (setting the clock can't move it), else in seconds since
    the epoch.  `boot` is the kernel's boot id, shared by all containers of a machine; `namespace` the pid namespace in
    which `pid` means anything.
    """

    pid: int
    started: float
    host: str
    boot: str
    namespace: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Identity | None:
        """None where `data` is no identity: half a file, another version's."""
        try:
            return cls(
                int(data["pid"]), float(data["started"]), str(data["host"]), str(data.get("boot", "")),
                str(data.get("namespace", "")),
            )
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            return None


def identify(pid: int | None = None) -> Identity | None:
    """The identity of `pid` (default: this process); None where there is no such process."""
    pid = os.getpid() if pid is None else pid
    started = start_time(pid)
    return None if started is None else Identity(pid, started, socket.gethostname(), boot_id(), namespace())


def start_time(pid: int) -> float | None:
    """When `pid` started, as `Identity.started`; None where it has ended, a zombie included."""
    if pid <= 0:
        return None
    if (PROC / "self/stat").exists():
        try:
            stat = (PROC / str(pid) / "stat").read_bytes()
        except (OSError, ValueError, OverflowError):
            return None
        # The second field is the command in parentheses and may hold anything, parentheses included.
        fields = stat[stat.rfind(b")") + 2 :].split()
        return None if len(fields) < 20 or fields[0] in (b"Z", b"X") else float(fields[19])
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, ValueError, OverflowError):
        return None


def whereabouts(identity: Identity) -> Literal["alive", "dead", "unknown"]:
    """Whether that very process lives; "unknown" where its pid means nothing here: another host or container."""
    if identity.boot != boot_id():
        # The same name with another boot id is this machine before it was started again.
        return "dead" if identity.host == socket.gethostname() else "unknown"
    if identity.namespace != namespace():
        return "unknown"
    return "alive" if start_time(identity.pid) == identity.started else "dead"


def same_machine(identity: Identity) -> bool:
    """Whether it ran on this machine since it booted, in whatever container."""
    return identity.boot == boot_id()


@cache
def boot_id() -> str:
    """The kernel's random id of this boot; on systems without one the boot time."""
    with contextlib.suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return str(int(psutil.boot_time()))


@cache
def namespace() -> str:
    """The pid namespace of this process, empty where the system has none."""
    try:
        return os.readlink(PROC / "self/ns/pid")
    except OSError:
        return ""
