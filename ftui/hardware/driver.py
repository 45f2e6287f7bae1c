"""What the probe asks of a GPU driver: one small protocol, so that a machine can as well be data.

Questions and their answers (bytes, °C, watts; `gpu` and `slice` are indices from 0):

    driver_version            "550.90.07"
    cuda_version              12040
    count                     number of GPUs
    name, uuid                of a GPU
    memory                    {"total", "used", "free"}
    compute_capability        [8, 0]
    processes                 [{"pid", "used_bytes", "name", "user"}]
    temperature, power, power_limit, utilization (0..1), ecc, ecc_errors, compute_mode
    mig_mode                  True, False
    mig_slots                 how many slices the GPU could have
    slice_name, slice_uuid, slice_memory, slice_processes     with a slice's index behind the GPU's
"""

from __future__ import annotations

from typing import Any, Protocol


class DriverError(Exception):
    """The driver refused a question; `code` is NVML's own name, such as "DriverNotLoaded" or "NotSupported"."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(text or code)
        self.code = code


class DriverHangs(DriverError):
    """The driver did not answer in time."""

    def __init__(self, question: str) -> None:
        super().__init__("Hangs", f"no answer to {question}")


class Driver(Protocol):
    """Answers questions about GPUs; raises DriverError where it can't."""

    def ask(self, question: str, *where: int) -> Any:
        """The answer to `question` for the GPU (and slice) at `where`."""
        ...

    def close(self) -> None:
        """Give back what the driver holds."""
        ...
