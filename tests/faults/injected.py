"""Faults in a real worker: at the n-th call of a named function it is killed, its disk is full, or it is slow.

Read by the worker's process before it begins; nothing of it reaches the tests' own process.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import signal
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import power  # beside this module, in the folder that the worker's script puts on the path


def inject(fault: dict[str, Any]) -> None:
    """Put a `Fault`, as JSON's types, into this process."""
    module, _, path = fault["target"].partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    setattr(owner, name, _faulty(getattr(owner, name), **fault))


def _faulty(
    function: Callable[..., Any], *, target: str, what: str, nth: int, before: bool, lasting: bool
) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(function)
    def faulty(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        due = calls == nth or (lasting and calls > nth)
        if due and before:
            _happens(what, *args)
        result = function(*args, **kwargs)
        if due and not before:
            _happens(what, *args)
        return result

    return faulty


def _happens(what: str, *args: Any) -> None:
    """Do one of `WHAT`, or raise what torch raises with these words: "cuda: " and "nccl: " before them say as what."""
    kind, _, words = what.partition(": ")
    if kind in ("cuda", "nccl") and words:
        import torch

        raise {"cuda": torch.AcceleratorError, "nccl": torch.distributed.DistBackendError}[kind](words)
    WHAT[what](*args)


def _kill(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    # Another thread may run on for a moment; this one must do nothing more.
    time.sleep(60)


def _power(*_: Any) -> None:
    """The power goes; what is left of the run's folder is put beside it."""
    power.leave(_run(), _run().with_name(f".{_run().name}.left"))
    _kill()


def _full(*_: Any) -> None:
    raise OSError(28, os.strerror(28), "/the/run/folder")


def _fill(*_: Any) -> None:
    """Take all the room on the disk of the runs."""
    with open(_run().with_name(".filler"), "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 12)):
            pass


def _free(*_: Any) -> None:
    """And give it back."""
    _run().with_name(".filler").unlink()


def _slow(*_: Any) -> None:
    time.sleep(0.2)


def _yesterday(*_: Any) -> None:
    """From now on the clock says a day less."""
    plain = time.time
    time.time = lambda: plain() - 86_400


def _bad_row(*_: Any) -> None:
    raise ValueError("a picture is broken")


def _no_number(trainer: Any, *_: Any) -> None:
    """The weights are no numbers any more, and so no loss is one."""
    for parameter in trainer.model.parameters():
        parameter.data.fill_(float("nan"))


def _spoil(*_: Any) -> None:
    """Cut the weights of every checkpoint."""
    for file in _run().glob("checkpoints/*/*.safetensors"):
        os.truncate(file, 10)


def _out_of_memory(*_: Any) -> None:
    """The GPU's memory is full."""
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _abort(*_: Any) -> None:
    """NCCL's watchdog ends the process from a thread of its own, as C++ does."""
    words = (
        "terminate called after throwing an instance of 'c10::DistBackendError'\n  what():  [PG 1 Rank 0] Process "
        "group watchdog thread terminated with exception: [Rank 0] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=9141, OpType=_ALLGATHER_BASE, NumelIn=19008, NumelOut=152064, Timeout(ms)=600000) ran for "
        "600020 milliseconds before timing out.\n"
    )
    os.write(2, words.encode())
    os.abort()


def _note(trainer: Any, inputs: Any) -> None:
    """Write down which rows a micro-batch has, those of the trial step left out."""
    if trainer.session._mark is None:
        return
    rows = zlib.crc32(inputs["input_ids"].numpy().tobytes())
    with open(_run() / "order", "a") as file:
        file.write(f"{os.getpid()} {trainer.state.global_step + 1} {rows}\n")


def _run() -> Path:
    return Path(os.environ["FTUI_TEST_RUN"])


WHAT: dict[str, Callable[..., None]] = {
    "kill": _kill, "power": _power, "full": _full, "fill": _fill, "free": _free, "slow": _slow,
    "yesterday": _yesterday, "bad_row": _bad_row, "no_number": _no_number, "spoil": _spoil,
    "note": _note, "out_of_memory": _out_of_memory, "abort": _abort,
}
