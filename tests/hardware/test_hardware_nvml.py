"""NVML itself, its functions replaced one by one in the real module, so that a misspelt one can't pass."""

from __future__ import annotations

import io
import json
import os
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from ftui.hardware import probe
from ftui.hardware.box import Machine, Recorded
from ftui.hardware.document import Cpu, Ram
from ftui.hardware.driver import DriverError
from ftui.hardware.nvml import Nvml, serve
from ftui.units import GiB

MACHINE = Machine(
    host="h", system="s", cpu=Cpu(name="c", cores=1, host_cores=1, architecture="x"),
    ram=Ram(total_bytes=GiB, available_bytes=GiB),
)


@pytest.fixture
def card(monkeypatch):
    """One A100 in MIG mode with one slice in the second of two slots."""
    def refuse(code: int):
        def call(*_: object) -> None:
            raise pynvml.NVMLError(code)

        return call

    def slot(gpu: str, index: int) -> str:
        if index == 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return f"{gpu}/slice{index}"

    mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=5 * GiB)
    functions: dict[str, Any] = {
        "nvmlInit": lambda: None, "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: b"550.90.07", "nvmlSystemGetCudaDriverVersion_v2": lambda: 12040,
        "nvmlDeviceGetCount": lambda: 1, "nvmlDeviceGetHandleByIndex": lambda index: f"gpu{index}",
        "nvmlDeviceGetMigDeviceHandleByIndex": slot,
        "nvmlDeviceGetName": lambda handle: f"A100 {handle}", "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=20 * GiB, used=5 * GiB, free=15 * GiB),
        "nvmlDeviceGetCudaComputeCapability": lambda handle: (8, 0),
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: [mine],
        "nvmlDeviceGetGraphicsRunningProcesses": refuse(pynvml.NVML_ERROR_NOT_SUPPORTED),
        "nvmlDeviceGetTemperature": lambda handle, sensor: 40, "nvmlDeviceGetPowerUsage": lambda handle: 61_500,
        "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 400_000,
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=97, memory=3),
        "nvmlDeviceGetEccMode": lambda handle: (1, 1), "nvmlDeviceGetTotalEccErrors": lambda handle, kind, counter: 0,
        "nvmlDeviceGetComputeMode": lambda handle: 3, "nvmlDeviceGetMigMode": lambda handle: (1, 1),
        "nvmlDeviceGetMaxMigDeviceCount": lambda handle: 2,
    }
    for name, function in functions.items():
        monkeypatch.setattr(pynvml, name, function)
    return monkeypatch


def test_every_question_is_answered_by_nvml(card) -> None:
    driver = Nvml()
    assert driver.ask("driver_version") == "550.90.07"
    assert driver.ask("memory", 0) == {"total": 20 * GiB, "used": 5 * GiB, "free": 15 * GiB}
    assert driver.ask("power", 0) == 61.5
    assert driver.ask("power_limit", 0) == 400
    assert driver.ask("utilization", 0) == 0.97
    assert driver.ask("compute_mode", 0) == "exclusive process"
    assert driver.ask("ecc", 0) is True
    process = driver.ask("processes", 0)[0]
    assert (process["pid"], process["used_bytes"]) == (os.getpid(), 5 * GiB)
    assert process["name"]
    with pytest.raises(DriverError, match="Not Found") as caught:
        driver.ask("slice_memory", 0, 0)
    assert caught.value.code == "NotFound"
    driver.close()


def test_a_slice_is_found_in_its_slot(card) -> None:
    hardware = probe(Nvml(), MACHINE)
    assert [gpu.uuid for gpu in hardware.gpus] == ["GPU-gpu0/slice1"]
    assert hardware.gpu.mig
    assert hardware.gpu.processes[0].pid == os.getpid()
    assert hardware.cuda_driver == "12.4"


def test_a_whole_card_is_read(card) -> None:
    card.setattr(pynvml, "nvmlDeviceGetMigMode", lambda handle: (0, 0))
    card.setattr(pynvml, "nvmlDeviceGetComputeMode", lambda handle: 0)
    gpu = probe(Nvml(), MACHINE).gpu
    assert (gpu.name, gpu.bf16, gpu.fp8, gpu.utilization, gpu.ecc) == ("A100 gpu0", True, False, 0.97, True)


def test_nvml_that_does_not_start_is_a_named_error(monkeypatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    with pytest.raises(DriverError) as caught:
        Nvml()
    assert caught.value.code == "DriverNotLoaded"


def test_the_child_answers_line_by_line(card, capsys) -> None:
    card.setattr("sys.stdin", io.StringIO('["count"]\n["name", 0]\n["slice_name", 0, 0]\n'))
    serve()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers[:3] == [{"value": "ready"}, {"value": 1}, {"value": "A100 gpu0"}]
    assert answers[3]["error"] == "NotFound"


def test_the_child_says_why_it_can_not_start(monkeypatch, capsys) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    serve()
    assert json.loads(capsys.readouterr().out)["error"] == "LibRmVersionMismatch"


def test_an_unrecorded_question_is_not_supported() -> None:
    with pytest.raises(DriverError, match="NotSupported"):
        Recorded({}).ask("power", 0)
