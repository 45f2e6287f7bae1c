"""AMD and Apple GPUs: found and named, with their memory.  NVIDIA's are read by `cards.py`."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftui.hardware.document import Gpu
from ftui.units import MiB

ANSWER_SECONDS = 5.0

BF16_AMD = ("gfx90a", "gfx94", "gfx95", "gfx11", "gfx12")
"""AMD architectures with bf16 matrix units: CDNA 2 and later, RDNA 3 and later (by the beginning of their names)."""


def amd_gpus(sys_folder: Path = Path("/sys")) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """AMD's GPUs by rocm-smi or amd-smi, else by the kernel's own files; and problems as sentences."""
    if not (sys_folder / "module" / "amdgpu").is_dir():
        return (), ()
    tools = (
        ("rocm-smi", "--showproductname --showmeminfo vram --showuse --showtemp --json", from_rocm_smi),
        ("amd-smi", "metric --mem-usage --json", from_amd_smi),
    )
    problems: list[str] = []
    for tool, arguments, reader in tools:
        if not (path := shutil.which(tool)):
            continue
        try:
            output = run([path, *arguments.split()])
            if found := reader(json.loads(output)):
                return _with_visibility(found, os.environ), tuple(problems)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            what = "did not answer in time" if isinstance(error, subprocess.TimeoutExpired) else "failed"
            problems.append(f"{tool} {what}: run it by hand to see why.")
    return _with_visibility(from_kernel(sys_folder), os.environ), tuple(problems)


def run(command: list[str]) -> str:
    """The output of a vendor's tool, within a time limit."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=ANSWER_SECONDS, stdin=subprocess.DEVNULL, check=False
    ).stdout


def from_rocm_smi(document: Any) -> tuple[Gpu, ...]:
    """GPUs from `rocm-smi --showproductname --showmeminfo vram --json`, which spells every value as text."""
    gpus: list[Gpu] = []
    for card, facts in document.items() if isinstance(document, dict) else ():
        if not (match := re.fullmatch(r"card(\d+)", card)) or not isinstance(facts, dict):
            continue
        by_name = {str(name).lower(): str(value) for name, value in facts.items()}
        total = _integer(by_name.get("vram total memory (b)"))
        used = _integer(by_name.get("vram total used memory (b)")) or 0
        if not total:
            continue
        names = (by_name.get(key) for key in ("card series", "device name", "card model"))
        name = next((one for one in names if one and one != "N/A" and not one.startswith("0x")), "AMD GPU")
        architecture = by_name.get("gfx version", "")
        busy, temperature = _integer(by_name.get("gpu use (%)")), by_name.get("temperature (sensor edge) (c)")
        gpus.append(Gpu(
            index=int(match[1]), name=name, vendor="amd", total_bytes=total, used_bytes=used,
            free_bytes=max(total - used, 0), bf16=architecture.startswith(BF16_AMD),
            utilization=None if busy is None else busy / 100,
            temperature_c=float(temperature) if temperature and re.fullmatch(r"[\d.]+", temperature) else None,
        ))
    return tuple(sorted(gpus, key=lambda gpu: gpu.index))


def from_amd_smi(document: Any) -> tuple[Gpu, ...]:
    """GPUs from `amd-smi metric --mem-usage --json`: a list, or in newer releases a mapping with `gpu_data`."""
    rows = document.get("gpu_data", []) if isinstance(document, dict) else document
    gpus: list[Gpu] = []
    for row in rows if isinstance(rows, list) else ():
        usage = row.get("mem_usage", {}) if isinstance(row, dict) else {}
        total, used = _megabytes(usage.get("total_vram")), _megabytes(usage.get("used_vram")) or 0
        if total:
            gpus.append(Gpu(
                index=int(row.get("gpu", len(gpus))), name="AMD GPU", vendor="amd", total_bytes=total,
                used_bytes=used, free_bytes=max(total - used, 0),
            ))
    return tuple(gpus)


def from_kernel(sys_folder: Path = Path("/sys")) -> tuple[Gpu, ...]:
    """GPUs from the amdgpu driver's files, which need no tool: memory in full, the name only where the card has one."""
    gpus: list[Gpu] = []
    for device in sorted((sys_folder / "class" / "drm").glob("card*/device")):
        if not re.fullmatch(r"card\d+", device.parent.name) or _file(device / "vendor") != "0x1002":
            continue
        total = _integer(_file(device / "mem_info_vram_total"))
        used = _integer(_file(device / "mem_info_vram_used")) or 0
        if total:
            busy = _integer(_file(device / "gpu_busy_percent"))
            gpus.append(Gpu(
                index=len(gpus), name=_file(device / "product_name") or "AMD GPU", vendor="amd", total_bytes=total,
                used_bytes=used, free_bytes=max(total - used, 0), utilization=None if busy is None else busy / 100,
            ))
    return tuple(gpus)


def apple_gpu(total: int, available: int) -> tuple[Gpu, ...]:
    """Apple's own GPU, which shares the host's memory; empty on any other machine."""
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return ()
    try:
        name = run(["sysctl", "-n", "machdep.cpu.brand_string"]).strip() or "Apple silicon"
    except (OSError, subprocess.SubprocessError):
        name = "Apple silicon"
    return (Gpu(
        index=0, name=f"{name} GPU", vendor="apple", total_bytes=total, used_bytes=total - available,
        free_bytes=available,
    ),)


def _with_visibility(gpus: tuple[Gpu, ...], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """What HIP_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES leave, by index."""
    for name in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        if name in environment:
            kept = {int(part) for part in environment[name].split(",") if part.strip().isdecimal()}
            gpus = tuple(gpu.model_copy(update={"visible": gpu.visible and gpu.index in kept}) for gpu in gpus)
    return gpus


def _megabytes(value: Any) -> int | None:
    number = value.get("value") if isinstance(value, dict) else value
    count = _integer(str(number))
    return None if count is None else count * MiB


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() else None


def _file(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
