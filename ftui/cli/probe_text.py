"""A machine on one screen of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ftui.hardware.document import Disk, Gpu, Hardware
from ftui.units import gib, plain

WIDTH, LABEL = 80, 11
MOST_PROCESSES = 3


def show(hardware: Hardware) -> None:
    """Print `hardware`, then what to do; commands stand on lines of their own, whole, to be copied."""
    for label, lines in _rows(hardware):
        wrapped = [part for line in lines for part in textwrap.wrap(line, WIDTH - LABEL) or [""]]
        for number, line in enumerate(wrapped):
            print(f"{label if number == 0 else '':<{LABEL}}{line}".rstrip())
    advice = list(_advice(hardware))
    if advice:
        print("\nTo do")
    for number, (text, command) in enumerate(advice, 1):
        print(textwrap.fill(text, WIDTH, initial_indent=f" {number}. ", subsequent_indent="    ",
                            break_long_words=False, break_on_hyphens=False))
        if command:
            print(f"    {command}")


def _rows(hardware: Hardware) -> Iterator[tuple[str, list[str]]]:
    yield "Machine", [plain(f"{hardware.host}, {hardware.system}")]
    cpu, ram = hardware.cpu, hardware.ram
    cores = f"{cpu.cores:g} cores" if cpu.cores == cpu.host_cores else f"{cpu.cores:g} of {cpu.host_cores} cores"
    yield "CPU", [plain(f"{cpu.name}, {cores}")]
    limit = " (the container's limit)" if ram.limited_by == "cgroup" else ""
    yield "Memory", [f"{gib(ram.available_bytes)} free of {gib(ram.total_bytes)}{limit}"]
    yield from _gpus(hardware)
    if hardware.driver:
        yield "Driver", [plain(f"{hardware.driver}, serves CUDA up to {hardware.cuda_driver or '?'}")]
    yield "torch", [plain(_torch(hardware))]
    for disk in hardware.disks:
        yield disk.purpose.capitalize(), [plain(_disk(disk))]


def _gpus(hardware: Hardware) -> Iterator[tuple[str, list[str]]]:
    before: Gpu | None = None
    for gpu in hardware.gpus:
        alike = before is not None and (before.name, before.mig) == (gpu.name, gpu.mig)
        yield f"GPU {gpu.index}", list(_gpu_lines(gpu, short=alike))
        before = gpu
    if hardware.gpu is None:
        fit = "fit for the demo and for models of a few million parameters"
        yield "" if hardware.gpus else "GPU", [f"none that can be used: CPU mode, {fit}"]


def _gpu_lines(gpu: Gpu, *, short: bool) -> Iterator[str]:
    """What a GPU is and does; `short` leaves out what the one before it said already."""
    hidden = "" if gpu.visible else "   (not used)"
    yield plain(f"{gpu.name}: {gib(gpu.free_bytes)} free of {gib(gpu.total_bytes)}{hidden}")
    if gpu.vendor == "nvidia" and not short:
        yield _abilities(gpu)
    state = [
        f"{gpu.temperature_c:.0f} °C" if gpu.temperature_c is not None else "",
        _power(gpu),
        f"{gpu.utilization:.0%} busy" if gpu.utilization is not None else "",
        {True: "ECC on", False: "ECC off", None: ""}[gpu.ecc],
        "MIG slice" if gpu.mig else "MIG mode" if gpu.mig_mode else "",
    ]
    if said := ", ".join(part for part in state if part):
        yield said
    for process in gpu.processes[:MOST_PROCESSES]:
        held = gib(process.used_bytes) if process.used_bytes is not None else "some memory"
        user = f", {process.user}" if process.user else ""
        yield plain(f"held: {held} by {process.name or 'a process'} (pid {process.pid}{user})")
    if len(gpu.processes) > MOST_PROCESSES:
        yield f"held by {len(gpu.processes) - MOST_PROCESSES} more processes"


def _abilities(gpu: Gpu) -> str:
    wanted = (("bf16", gpu.bf16), ("fp8", gpu.fp8), ("FlashAttention 2", gpu.flash_attention))
    has, lacks = [name for name, yes in wanted if yes], [name for name, yes in wanted if not yes]
    capability = "compute capability " + ("?" if gpu.compute_capability is None else
                                          ".".join(map(str, gpu.compute_capability)))
    missing = f"no {', no '.join(lacks)}" if lacks else ""
    return "; ".join(part for part in (capability, ", ".join(has), missing) if part)


def _power(gpu: Gpu) -> str:
    if gpu.power_w is None:
        return ""
    return f"{gpu.power_w:.0f} of {gpu.power_limit_w:.0f} W" if gpu.power_limit_w else f"{gpu.power_w:.0f} W"


def _torch(hardware: Hardware) -> str:
    build = hardware.torch
    if build.version is None:
        return "not installed"
    made_for = f"CUDA {build.cuda}" if build.cuda else f"ROCm {build.hip}" if build.hip else "the CPU"
    return f"{build.version}, built for {made_for}"


def _disk(disk: Disk) -> str:
    kind = f" ({disk.filesystem})" if disk.filesystem else ""
    return f"{gib(disk.free_bytes, 0)} free of {gib(disk.total_bytes, 0)} at {disk.path}{kind}"


def _advice(hardware: Hardware) -> Iterator[tuple[str, str | None]]:
    """Every problem with the command that helps; torch's first: without it nothing trains."""
    build = hardware.torch
    if build.problem:
        yield plain(f"{build.problem} Install one that fits:"), plain(build.advice or "")
    for problem in hardware.problems:
        yield plain(problem), None
