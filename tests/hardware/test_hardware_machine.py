"""CPU, memory, disks, torch's files and other vendors' cards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ftui.hardware import cgroup, machine
from ftui.hardware.document import Gpu, TorchBuild
from ftui.hardware.other_gpus import amd_gpus, from_amd_smi, from_kernel, from_rocm_smi
from ftui.hardware.torch_build import against, read_build, supported
from ftui.units import GiB, MiB


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def limits(tmp_path: Path, membership: str, files: dict[str, str]) -> cgroup.Limits:
    tree(tmp_path, {"cgroup": membership})
    return cgroup.limits(tree(tmp_path / "fs", files), tmp_path / "cgroup")


def test_version_2_of_cgroups_limits_cores_and_memory(tmp_path) -> None:
    found = limits(tmp_path, "0::/\n", {
        "cpu.max": "250000 100000\n", "memory.max": f"{8 * GiB}\n", "memory.current": f"{3 * GiB}\n",
        "memory.stat": f"anon 5\ninactive_file {GiB}\n",
    })
    assert found == cgroup.Limits(2.5, 8 * GiB, 2 * GiB)


def test_the_tightest_of_the_parents_binds(tmp_path) -> None:
    found = limits(tmp_path, "0::/user.slice/job\n", {
        "user.slice/job/cpu.max": "max 100000", "user.slice/cpu.max": "150000 100000", "cpu.max": "max 100000",
        "user.slice/job/memory.max": "max", "user.slice/memory.max": str(4 * GiB),
    })
    assert (found.cores, found.memory) == (1.5, 4 * GiB)


def test_version_1_of_cgroups_limits_cores_and_memory(tmp_path) -> None:
    found = limits(tmp_path, "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n", {
        "cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": str(2 * GiB), "memory/memory.usage_in_bytes": str(GiB),
        "memory/memory.stat": f"total_inactive_file {MiB}",
    })
    assert found == cgroup.Limits(0.5, 2 * GiB, GiB - MiB)


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("", {}), ("nonsense", {}), ("0::/", {"cpu.max": "max 100000", "memory.max": "max"}),
        ("4:memory:/\n3:cpu:/", {"memory/memory.limit_in_bytes": str(2**63 - 4096), "cpu/cpu.cfs_quota_us": "-1"}),
        ("0::/", {"cpu.max": "garbage", "memory.max": "garbage"}), ("0::/../..", {}),
    ],
)
def test_no_limit_is_no_limit(tmp_path, membership: str, files: dict[str, str]) -> None:
    found = limits(tmp_path, membership, files)
    assert (found.cores, found.memory) == (None, None)


def test_a_quota_and_the_affinity_both_bind() -> None:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert machine.read_cpu(cgroup.Limits()).cores == allowed
    assert machine.read_cpu(cgroup.Limits(cores=0.5)).cores == 0.5
    assert machine.read_cpu(cgroup.Limits(cores=4096)).cores == allowed


def test_the_cgroups_memory_replaces_the_hosts_where_it_is_less() -> None:
    ram = machine.read_ram(cgroup.Limits(memory=GiB, memory_used=GiB // 4))
    assert (ram.total_bytes, ram.limited_by) == (GiB, "cgroup")
    assert ram.available_bytes <= GiB * 3 // 4
    assert machine.read_ram(cgroup.Limits(memory=1 << 55)).limited_by == "host"


def test_a_folder_that_does_not_exist_yet_lies_on_its_parents_disk(tmp_path, own_home) -> None:
    disks = {disk.purpose: disk for disk in machine.read_machine().disks}
    assert Path(disks["runs"].path) in [own_home, *own_home.parents]
    assert disks["runs"].free_bytes > 0


def test_a_mount_is_found_by_its_longest_prefix(monkeypatch) -> None:
    monkeypatch.setattr(machine, "_mounts", lambda: [("/", "overlay"), ("/mnt", "ext4"), ("/mnt/a", "tmpfs")])
    assert machine.filesystem_of(Path("/mnt/b")) == "ext4"
    assert machine.filesystem_of(Path("/mnt/a/x")) == "tmpfs"
    assert machine.filesystem_of(Path("/mnta")) == "overlay"


TORCH = """from typing import Optional
__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'rocm', 'xpu']
__version__ = '2.9.1+cu126'
debug = False
cuda: Optional[str] = '12.6'
git_version = 'abc'
hip: Optional[str] = None
"""


def test_torch_is_read_from_its_file(tmp_path) -> None:
    assert read_build(tree(tmp_path, {"version.py": TORCH})) == TorchBuild(version="2.9.1+cu126", cuda="12.6")
    assert read_build(tmp_path / "nothing") == TorchBuild()


def card(capability: tuple[int, int] | None = (8, 0), vendor: str = "nvidia") -> Gpu:
    return Gpu(index=0, name="Card", vendor=vendor, total_bytes=GiB, used_bytes=0, free_bytes=GiB,  # type: ignore[arg-type]
               compute_capability=capability)


@pytest.mark.parametrize(
    ("version", "cuda", "capability", "driver", "served", "problem", "advice"),
    [
        ("2.9.1+cu126", "12.6", (8, 0), "535.1", "12.2", None, None),
        ("2.13.0", "13.0", (8, 0), "580.65", "13.0", None, None),
        ("2.9.1+cu126", "12.6", (9, 0), "580.65", "13.0", None, None),
        ("2.13.0", "13.0", (8, 0), "550.54", "12.4", "serves CUDA 12.4 at most", "cu126"),
        ("2.8.0+cu126", "12.6", (8, 0), "470.1", "11.4", "a driver of 525 or newer", "cu126"),
        ("2.13.0+cpu", None, (8, 0), "550.54", "12.4", "without CUDA", "cu126"),
        ("2.13.0+cpu", None, (12, 0), "580.65", "13.0", "without CUDA", "cu130"),
        ("2.13.0+cpu", None, (12, 0), "570.86", "12.8", "without CUDA", "cu128"),
        ("2.13.0+cpu", None, (6, 1), "580.65", "13.0", "without CUDA", "cu126"),
        ("2.8.0+cu126", "12.6", (12, 0), "580.65", "13.0", "too new", "cu130"),
        ("2.13.0", "13.0", (7, 0), "580.65", "13.0", "too old", "cu126"),
        ("2.8.0+cu128", "12.8", (7, 0), "570.86", "12.8", None, None),
        ("2.11.0+cu128", "12.8", (7, 0), "570.86", "12.8", "too old", "cu126"),
        (None, None, (8, 0), "550.54", "12.4", "not installed", "cu126"),
        ("2.9.9", "14.1", (8, 0), "700.1", "14.2", None, None),
    ],
)
def test_torch_is_held_against_the_driver_and_the_card(
    version, cuda, capability, driver, served, problem, advice
) -> None:
    build = against(TorchBuild(version=version, cuda=cuda), [card(capability)], driver, served)
    assert (build.problem is None) == (problem is None), build.problem
    if problem:
        assert problem in build.problem
        assert advice in build.advice
        assert "pip install" in build.advice


def test_without_a_card_any_torch_will_do() -> None:
    assert against(TorchBuild(version="2.13.0+cpu"), [], None, None).problem is None
    assert "whl/cpu" in against(TorchBuild(), [], None, None).advice


def test_an_amd_card_needs_a_torch_for_rocm() -> None:
    assert "ROCm" in against(TorchBuild(version="2.9", cuda="12.6"), [card(None, "amd")], None, None).problem
    assert against(TorchBuild(version="2.9", hip="6.4"), [card(None, "amd")], None, None).problem is None


def test_the_architectures_of_unknown_builds_are_left_open() -> None:
    assert supported("3.0", "15.0") is None
    assert supported("2.8", "12.6") == ((5, 0), (5, 6, 7, 8, 9))


def test_amd_cards_are_read_from_rocm_smi() -> None:
    gpus = from_rocm_smi({
        "card0": {
            "GPU use (%)": "7", "VRAM Total Memory (B)": "21458059264", "VRAM Total Used Memory (B)": "27856896",
            "Card Series": "Radeon RX 7900 XT", "GFX Version": "gfx1100", "Temperature (Sensor edge) (C)": "31.0",
        },
        "card1": {"Card Series": "N/A"},
        "system": {"Driver version": "6.12"},
    })
    assert len(gpus) == 1
    assert (gpus[0].name, gpus[0].vendor, gpus[0].bf16) == ("Radeon RX 7900 XT", "amd", True)
    assert (gpus[0].total_bytes, gpus[0].utilization, gpus[0].temperature_c) == (21458059264, 0.07, 31.0)
    assert from_rocm_smi([]) == ()


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"gpu_data": rows}])
def test_amd_cards_are_read_from_amd_smi(wrap) -> None:
    rows = [{"gpu": 0, "mem_usage": {"total_vram": {"value": 16384, "unit": "MB"}, "used_vram": {"value": 100}}}, {}]
    assert [gpu.free_bytes for gpu in from_amd_smi(wrap(rows))] == [16284 * MiB]


def test_amd_cards_are_read_from_the_kernel_where_there_is_no_tool(tmp_path, monkeypatch) -> None:
    tree(tmp_path, {
        "module/amdgpu/version": "6", "class/drm/card1/device/vendor": "0x1002\n",
        "class/drm/card1/device/mem_info_vram_total": str(GiB), "class/drm/card1/device/mem_info_vram_used": "1",
        "class/drm/card0/device/vendor": "0x8086", "class/drm/card1-DP-1/device/vendor": "0x1002",
    })
    assert [gpu.free_bytes for gpu in from_kernel(tmp_path)] == [GiB - 1]
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    (gpu,), problems = amd_gpus(tmp_path)
    assert (gpu.visible, problems) == (False, ())


def test_a_vendors_tool_that_fails_is_told_and_the_kernel_asked(tmp_path, monkeypatch) -> None:
    tree(tmp_path, {"module/amdgpu/version": "6", "bin/rocm-smi": "#!/bin/sh\necho no json\n"})
    (tmp_path / "bin" / "rocm-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    gpus, problems = amd_gpus(tmp_path)
    assert gpus == ()
    assert "rocm-smi failed" in problems[0]


def test_without_an_amd_driver_no_tool_is_run(tmp_path) -> None:
    assert amd_gpus(tmp_path) == ((), ())
