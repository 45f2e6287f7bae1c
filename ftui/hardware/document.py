"""`Hardware`: what one machine has, as found at one moment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ftui.documents import Document

Vendor = Literal["nvidia", "amd", "apple"]


class GpuProcess(Document):
    """A process that holds memory on a GPU; `used_bytes` is None where the driver won't tell (containers, MIG)."""

    pid: int
    name: str | None = None
    user: str | None = None
    used_bytes: int | None = None


class Gpu(Document):
    """One GPU, or one MIG slice of one.  Memory in bytes, temperature in °C, power in watts, utilisation in 0..1."""

    index: int
    name: str
    vendor: Vendor = "nvidia"
    uuid: str | None = None
    total_bytes: int
    used_bytes: int
    free_bytes: int
    processes: tuple[GpuProcess, ...] = ()
    compute_capability: tuple[int, int] | None = None
    bf16: bool = False
    fp8: bool = False
    flash_attention: bool = False
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    utilization: float | None = None
    mig: bool = False
    """This entry is a MIG slice."""
    mig_mode: bool | None = None
    """The GPU is in MIG mode (a parent with no slice visible can't be used)."""
    ecc: bool | None = None
    visible: bool = True
    """Whether CUDA_VISIBLE_DEVICES (or its AMD kin) lets a process of ours use it."""


class Cpu(Document):
    """`cores` is what this process may use (affinity and cgroup quota, maybe a fraction), `host_cores` the host's."""

    name: str
    cores: float
    host_cores: int
    architecture: str


class Ram(Document):
    """Host memory in bytes, with the cgroup's limit applied; `limited_by` says which of the two binds."""

    total_bytes: int
    available_bytes: int
    limited_by: Literal["host", "cgroup"] = "host"


class Disk(Document):
    """Free space where something of ours goes."""

    purpose: Literal["runs", "hub cache", "other"]
    path: str
    total_bytes: int
    free_bytes: int
    filesystem: str | None = None
    volatile: bool = False
    """True where the content vanishes with the machine or its session: tmpfs, a container's own layer."""


class TorchBuild(Document):
    """The installed torch as read from its files, never imported, held against the driver."""

    version: str | None = None
    """None: torch is not installed."""
    cuda: str | None = None
    """The CUDA that torch was built for, such as "12.8"; None for a CPU build."""
    hip: str | None = None
    problem: str | None = None
    """One sentence where torch can't use this machine's GPU."""
    advice: str | None = None
    """The command that installs a torch that can."""


class Hardware(Document):
    """What `probe()` found.  `problems` are plain sentences: a broken driver, a call that hung."""

    version: int = 1
    host: str
    system: str
    """Such as "Linux 6.1 x86_64"."""
    time: float
    """Seconds since the epoch."""
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda_driver: str | None = None
    """The newest CUDA that the driver serves, such as "12.4"."""
    visible_devices: str | None = None
    """CUDA_VISIBLE_DEVICES as set, None if unset."""
    cpu: Cpu
    ram: Ram
    disks: tuple[Disk, ...] = ()
    other_disks: tuple[Disk, ...] = ()
    """Writable disks that stay and have more room than where runs go, roomiest first."""
    torch: TorchBuild = Field(default_factory=TorchBuild)
    problems: tuple[str, ...] = ()

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that a training process may use, most free memory first."""
        return tuple(sorted((g for g in self.gpus if g.visible), key=lambda g: (-g.free_bytes, g.index)))

    @property
    def gpu(self) -> Gpu | None:
        """The GPU that a one-card run would take, the first of `usable_gpus`; None for CPU mode."""
        return min((g for g in self.gpus if g.visible), key=lambda g: (-g.free_bytes, g.index), default=None)

    @property
    def budget_bytes(self) -> int:
        """Memory that a one-device run may fill now: the best GPU's free memory, else available RAM."""
        return self.gpu.free_bytes if self.gpu else self.ram.available_bytes

    @property
    def device_name(self) -> str:
        """Such as "NVIDIA A100-SXM4-80GB" or "CPU (2 cores)"."""
        return self.gpu.name if self.gpu else f"CPU ({self.cpu.cores:g} cores)"
