"""NVML in this process, and as a child that answers questions over its pipes: `python -m ftui.hardware.nvml`.

pynvml is the module of the package nvidia-ml-py.  Calls may hang for ever in a broken driver; `apart.py` guards them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ftui.hardware.driver import DriverError

COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}


class Nvml:
    """The driver by NVML.  Starts NVML when made; raises DriverError where that fails."""

    def __init__(self) -> None:
        import pynvml

        self.nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise _named(error) from None
        self._handles: dict[tuple[int, ...], Any] = {}

    def ask(self, question: str, *where: int) -> Any:
        """See driver.py for the questions."""
        try:
            return getattr(self, f"_{question}")(*where)
        except self.nvml.NVMLError as error:
            raise _named(error) from None

    def close(self) -> None:
        """Stop NVML; a driver that fails even at that is left alone."""
        try:
            self.nvml.nvmlShutdown()
        except self.nvml.NVMLError:
            return

    def _handle(self, gpu: int, part: int | None = None) -> Any:
        key = (gpu,) if part is None else (gpu, part)
        if key not in self._handles:
            self._handles[key] = (
                self.nvml.nvmlDeviceGetHandleByIndex(gpu)
                if part is None
                else self.nvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle(gpu), part)
            )
        return self._handles[key]

    def _driver_version(self) -> str:
        return _text(self.nvml.nvmlSystemGetDriverVersion())

    def _cuda_version(self) -> int:
        return int(self.nvml.nvmlSystemGetCudaDriverVersion_v2())

    def _count(self) -> int:
        return int(self.nvml.nvmlDeviceGetCount())

    def _name(self, *where: int) -> str:
        return _text(self.nvml.nvmlDeviceGetName(self._handle(*where)))

    def _uuid(self, *where: int) -> str:
        return _text(self.nvml.nvmlDeviceGetUUID(self._handle(*where)))

    def _memory(self, *where: int) -> dict[str, int]:
        memory = self.nvml.nvmlDeviceGetMemoryInfo(self._handle(*where))
        return {"total": int(memory.total), "used": int(memory.used), "free": int(memory.free)}

    _slice_name, _slice_uuid, _slice_memory = _name, _uuid, _memory

    def _compute_capability(self, gpu: int) -> list[int]:
        return [int(part) for part in self.nvml.nvmlDeviceGetCudaComputeCapability(self._handle(gpu))]

    def _processes(self, *where: int) -> list[dict[str, Any]]:
        handle = self._handle(*where)
        found = {process.pid: process for process in self.nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
        try:
            for process in self.nvml.nvmlDeviceGetGraphicsRunningProcesses(handle):
                found.setdefault(process.pid, process)
        except self.nvml.NVMLError:
            # MIG slices and data-centre cards in compute mode have no graphics to tell of.
            pass
        return [_process(process) for process in found.values()]

    _slice_processes = _processes

    def _temperature(self, gpu: int) -> float:
        return float(self.nvml.nvmlDeviceGetTemperature(self._handle(gpu), self.nvml.NVML_TEMPERATURE_GPU))

    def _power(self, gpu: int) -> float:
        return self.nvml.nvmlDeviceGetPowerUsage(self._handle(gpu)) / 1000

    def _power_limit(self, gpu: int) -> float:
        return self.nvml.nvmlDeviceGetEnforcedPowerLimit(self._handle(gpu)) / 1000

    def _utilization(self, gpu: int) -> float:
        return self.nvml.nvmlDeviceGetUtilizationRates(self._handle(gpu)).gpu / 100

    def _ecc(self, gpu: int) -> bool:
        return bool(self.nvml.nvmlDeviceGetEccMode(self._handle(gpu))[0])

    def _ecc_errors(self, gpu: int) -> int:
        nvml = self.nvml
        return int(nvml.nvmlDeviceGetTotalEccErrors(
            self._handle(gpu), nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        ))

    def _compute_mode(self, gpu: int) -> str:
        return COMPUTE_MODES.get(int(self.nvml.nvmlDeviceGetComputeMode(self._handle(gpu))), "default")

    def _mig_mode(self, gpu: int) -> bool:
        return bool(self.nvml.nvmlDeviceGetMigMode(self._handle(gpu))[0])

    def _mig_slots(self, gpu: int) -> int:
        return int(self.nvml.nvmlDeviceGetMaxMigDeviceCount(self._handle(gpu)))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _process(process: Any) -> dict[str, Any]:
    """A process of NVML's with its name and user, where this host (or container) can see it."""
    import psutil

    used = getattr(process, "usedGpuMemory", None)
    found: dict[str, Any] = {"pid": int(process.pid), "used_bytes": None if used is None else int(used)}
    try:
        seen = psutil.Process(process.pid)
        return {**found, "name": seen.name(), "user": seen.username()}
    except (psutil.Error, KeyError):
        return found


def _named(error: Any) -> DriverError:
    """An NVML error by the last part of its class's name: NVMLError_DriverNotLoaded -> "DriverNotLoaded"."""
    return DriverError(type(error).__name__.rpartition("_")[2], str(error))


def serve() -> None:
    """Answer questions, one JSON list on a line of stdin each, by one JSON document on a line of stdout."""
    try:
        driver = Nvml()
    except DriverError as error:
        print(json.dumps({"error": error.code, "text": str(error)}), flush=True)
        return
    except ImportError as error:
        print(json.dumps({"error": "LibraryNotFound", "text": str(error)}), flush=True)
        return
    print(json.dumps({"value": "ready"}), flush=True)
    for line in sys.stdin:
        question, *where = json.loads(line)
        try:
            answer = {"value": driver.ask(question, *where)}
        except DriverError as error:
            answer = {"error": error.code, "text": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
