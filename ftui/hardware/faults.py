"""What CUDA, its libraries and NVML say when a GPU gives up, and what that means to whoever trains on it.

The signs are parts of the messages as torch 2, the driver and NCCL write them, in lower case; the texts of CUDA's
errors are in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html, Xid numbers in
https://docs.nvidia.com/deploy/xid-errors/.  Memory that ran out is none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK = "`sudo dmesg | grep -i xid` and `nvidia-smi -q` say more"
OTHER_CARD = "or take another card by CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Fault:
    """One way in which a GPU gives up: a sentence without its full stop, and what to do before the resume."""

    name: str
    signs: tuple[str, ...]
    text: str
    hint: str


FAULTS = (
    Fault(
        "lost",
        ("gpu is lost", "gpuislost", "fallen off the bus", "unable to determine the device handle",
         "no cuda-capable device is detected", "cuda error: unknown error", "invalid device ordinal"),
        "The GPU is gone: it has fallen off the bus, or the container has lost it",
        f"{LOOK} (Xid 79: power, slot or heat). Reboot, in a container restart that, {OTHER_CARD}.",
    ),
    Fault(
        "memory",
        ("uncorrectable ecc error", "ecc_uncorrectable", "uncorrectable nvlink error", "hardware stack error",
         "uncontained error", "contained, uncorrectable"),
        "The GPU's memory has an error that could not be corrected",
        f"{LOOK} (Xid 48, 63, 94, 95). Reset it by `sudo nvidia-smi --gpu-reset`, or reboot; if it comes back, the "
        f"card is broken: {OTHER_CARD.removeprefix('or ')}.",
    ),
    Fault(
        "assertion",
        ("device-side assert triggered",),
        "A kernel on the GPU stopped at a wrong index, which is mostly a token or label beyond the model's table",
        "Check the data with `ftui data check`. On the CPU the error names the place: --set compute.gpus=0, or set "
        "CUDA_LAUNCH_BLOCKING=1. The card itself is well.",
    ),
    Fault(
        "watchdog",
        ("the launch timed out and was terminated", "cuda_error_launch_timeout"),
        "The driver ended a kernel that took too long, as it does on a card that also draws a screen",
        "Train on a card without a screen, or lower train.micro_batch or data.max_length.",
    ),
    Fault(
        "access",
        ("illegal memory access", "unspecified launch failure", "misaligned address",
         "illegal instruction was encountered", "invalid program counter", "illegal address",
         "cublas_status_execution_failed", "cublas_status_internal_error", "cudnn_status_execution_failed",
         "cudnn_status_internal_error"),
        "A kernel on the GPU failed",
        f"{LOOK} (Xid 13, 31: a library's mistake; others: the card, or memory that is clocked too high). Resume once; "
        f"if it fails again, update the driver and torch, try another model.attention, {OTHER_CARD}.",
    ),
    Fault(
        "busy",
        ("devices are busy or unavailable", "is/are busy or unavailable"),
        "The GPU takes no further process",
        "Somebody has it in exclusive mode (`nvidia-smi -q -d COMPUTE`), or an ended process still holds it "
        f"(`nvidia-smi`): wait with --queue, {OTHER_CARD}.",
    ),
    Fault(
        "peers",
        ("caught collective operation timeout", "ncclremoteerror", "nccl error in", "ncclsystemerror",
         "ncclinternalerror", "nccl communicator was aborted"),
        "The GPUs of this run lost each other: one of them, or its process, stopped answering",
        f"The log names the first one that failed; {LOOK}. Where none has, links that don't work are a cause: resume "
        "with NCCL_P2P_DISABLE=1, or NCCL_DEBUG=INFO to see which.",
    ),
    Fault(
        "kernel",
        ("no kernel image is available for execution",),
        "The installed torch has no code for this GPU",
        "`ftui probe` says which torch to install.",
    ),
    Fault(
        "driver",
        ("driver version is insufficient", "unsupported display driver / cuda driver combination",
         "driver/library version mismatch", "libraryversionmismatch", "cuda driver initialization failed"),
        "NVIDIA's driver does not fit",
        "It may have been updated under the run: reboot. `ftui probe` says what torch and the driver need.",
    ),
)
"""Looked through in this order: where NCCL hands a card's own error on, that is the cause."""


def find(text: str) -> Fault | None:
    """The fault that `text`, an error's message or the end of a log, tells of."""
    lower = text.lower()
    return next((fault for fault in FAULTS if any(sign in lower for sign in fault.signs)), None)
