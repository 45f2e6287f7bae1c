"""A GPU that gives up under a training: what its errors mean, and what is left afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ftui.hardware import faults
from ftui.hardware.driver import DriverError
from ftui.hardware.gauges import Gauges
from ftui.runs.status import RunStatus
from ftui.worker.checkpoints import found
from ftui.worker.ending import explain

from .conftest import Trainings, outcome
from .fault import Fault

Reach = Callable[..., RunStatus]

STEP = "ftui.worker.session:Session.on_step_begin"
QUICK: dict[str, Any] = {"train__max_steps": 6, "train__save_steps": 2, "data__validation": 0, "evaluate__prompts": []}
LATER = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable "
    "device-side assertions.\n"
)

SAID = {
    # torch, as issues of pytorch and of trainers on it quote it.
    f"CUDA error: unspecified launch failure{LATER}": "access",
    f"CUDA error: an illegal memory access was encountered{LATER}": "access",
    f"CUDA error: misaligned address{LATER}": "access",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, opb, m, n, k, ...)`": "access",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED": "access",
    f"CUDA error: device-side assert triggered{LATER}": "assertion",
    f"CUDA error: the launch timed out and was terminated{LATER}": "watchdog",
    f"CUDA error: uncorrectable ECC error encountered{LATER}": "memory",
    f"CUDA error: CUDA-capable device(s) is/are busy or unavailable{LATER}": "busy",
    "CUDA error: all CUDA-capable devices are busy or unavailable": "busy",
    f"CUDA error: unknown error{LATER}": "lost",
    "No CUDA GPUs are available; cuda runtime error (38) : no CUDA-capable device is detected": "lost",
    f"CUDA error: no kernel image is available for execution on the device{LATER}": "kernel",
    "CUDA driver version is insufficient for CUDA runtime version": "driver",
    # The driver.
    "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU":
        "lost",
    "Unable to determine the device handle for GPU0000:17:00.0: Unknown Error": "lost",
    "NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.": "lost",
    "Failed to initialize NVML: Driver/library version mismatch": "driver",
    # NCCL, by torch.
    "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7753, OpType=_REDUCE_SCATTER_BASE, "
    "NumelIn=544997376, NumelOut=68124672, Timeout(ms)=600000) ran for 600061 milliseconds before timing out.": "peers",
    "NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1691, remote process exited or there was a "
    "network error, NCCL version 2.19.3\nncclRemoteError: A call failed possibly due to a network error or a remote "
    "process exiting prematurely.": "peers",
    "NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1331, unhandled cuda error (run with "
    "NCCL_DEBUG=INFO for details), NCCL version 2.18.1\nncclUnhandledCudaError: Call to CUDA function failed.\nLast "
    "error:\nCuda failure 'uncorrectable ECC error encountered'": "memory",
}


@pytest.mark.parametrize(("words", "name"), SAID.items(), ids=[f"{name}{at}" for at, name in enumerate(SAID.values())])
def test_each_message_of_a_gpu_that_gives_up_is_a_sentence_with_what_to_do(words: str, name: str) -> None:
    fault = faults.find(words)
    assert fault is not None
    assert fault.name == name
    ending = explain(RuntimeError(words), "r")
    assert ending.text.startswith(fault.text)
    assert words.splitlines()[0][:100].rstrip(".") in ending.text
    assert "\n" not in ending.text
    assert ending.hint is not None
    assert ending.hint.startswith(fault.hint)
    assert "ftui runs resume r" in ending.hint


@pytest.mark.parametrize(
    "words",
    ["CUDA out of memory. Tried to allocate 2.00 GiB.", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
     "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", "Connection timed out", ""],
)
def test_what_no_gpu_has_said_is_no_fault_of_one(words: str) -> None:
    assert faults.find(words) is None


class Falling:
    """A card that answers like any other until it falls off the bus; then `mood` happens at every question."""

    def __init__(self, mood: DriverError | threading.Event) -> None:
        self.mood, self.fallen = mood, threading.Event()
        self.questions = 0

    def ask(self, question: str, *_: int) -> Any:
        self.questions += 1
        if self.fallen.is_set():
            if isinstance(self.mood, DriverError):
                raise self.mood
            self.mood.wait()
        return {"count": 1, "memory": {"total": 8, "used": 3, "free": 5}, "uuid": "GPU-1"}.get(question)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("code", ["GpuIsLost", "Unknown", "ResetRequired", "hangs"])
def test_gauges_of_a_card_that_falls_off_the_bus_go_empty_and_neither_raise_nor_wait(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.hardware import gauges

    now = 0.0
    monkeypatch.setattr(gauges, "EVERY_SECONDS", 0.001)
    monkeypatch.setattr(gauges.time, "monotonic", lambda: now)
    freed = threading.Event()
    driver = Falling(freed if code == "hangs" else DriverError(code, "Unknown Error"))
    found = Gauges(driver)
    assert [card["used_bytes"] for card in found.read(wait=30)] == [3]
    driver.fallen.set()
    asked = driver.questions
    while driver.questions == asked:
        found.read()
    now = 1000.0
    # What was read before the fall is too old by now; the driver may still hang in the first question after it.
    while (after := found.read()) and code != "hangs":
        assert after[0]["used_bytes"] == 3, "an answer that was on its way"
    assert after == []
    freed.set()


LOST = f"cuda: CUDA error: unknown error{LATER}"


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("faults-gpu")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (LOST, "has fallen off the bus"),
        (f"cuda: CUDA error: uncorrectable ECC error encountered{LATER}", "memory has an error"),
        (f"cuda: CUDA error: unspecified launch failure{LATER}", "A kernel on the GPU failed"),
        (f"nccl: {next(words for words, name in SAID.items() if name == 'peers')}", "lost each other"),
    ],
)
def test_a_gpu_that_gives_up_in_a_step_ends_the_run_in_a_sentence_and_the_resume_comes_to_the_same_result(
    words: str, said: str, trainings: Trainings
) -> None:
    whole = trainings.finish(trainings.make(**QUICK))
    run = trainings.make(**QUICK)
    last = trainings.work(run, Fault("ftui.worker.trainer:RunTrainer.training_step", words, nth=11))
    assert last.state == "failed"
    assert said in last.text
    assert words.partition(": ")[2].splitlines()[0][:60] in last.text
    assert "dmesg" in (last.hint or "")
    assert f"ftui runs resume {run.id}" in (last.hint or "")
    assert [checkpoint.step for checkpoint in found(run.checkpoints)] == [4, 2]
    assert trainings.finish(run) == whole


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("faults-gpu")
def test_a_process_that_nccl_aborts_is_crashed_and_its_last_words_say_why(trainings: Trainings) -> None:
    run = trainings.make(**QUICK)
    last = trainings.work(run, Fault(STEP, "abort", nth=5))
    assert last.state == "crashed"
    assert "vanished at step 4: the GPUs of this run lost each other" in last.text
    assert "NCCL_P2P_DISABLE=1" in (last.hint or "")
    assert trainings.work(run).state == "finished"
    assert outcome(run).losses
