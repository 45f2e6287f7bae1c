"""What an exception means to the person whose run it ended: one sentence, and what to do."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Literal

from ftui.errors import FtuiError
from ftui.hardware import faults

LESS_MEMORY = "Lower train.micro_batch or data.max_length, switch train.checkpointing on"


@dataclass(frozen=True)
class Ending:
    """The parts of an `end` event that depend on what was thrown."""

    status: Literal["stopped", "failed"]
    text: str
    hint: str | None


def explain(error: BaseException, run: str) -> Ending:
    """The ending that `error` stands for; `run` is the run's id, for the commands in the hints."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, FtuiError):
        return Ending("failed", error.what, error.hint)
    if isinstance(error, KeyboardInterrupt):
        return Ending("stopped", "Stopped at once, without saving.", _resume(run))
    if isinstance(error, MemoryError) or "defaultcpuallocator" in str(error).lower():
        return Ending(
            "failed", "The machine ran out of memory (RAM).",
            f"{LESS_MEMORY}, choose a smaller or quantized base, or close what else fills the RAM. {_resume(run)}",
        )
    # By name, for this module is read where torch isn't; "out of memory" is how CUDA's and cuBLAS's own errors say it.
    if "OutOfMemoryError" in names or (isinstance(error, RuntimeError) and _says_out_of_memory(error)):
        return Ending(
            "failed", f"The GPU ran out of memory: {_first_line(error)}", f"{LESS_MEMORY}. {_resume(run)}"
        )
    if not isinstance(error, OSError) and (fault := faults.find(str(error))):
        return Ending("failed", f"{fault.text} ({_first_line(error).rstrip('.')}).", f"{fault.hint} {_resume(run)}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return Ending("failed", f"The disk is full{where}.", f"Free some space. {_resume(run)}")
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {error.filename}" if error.filename else ""
        return Ending("failed", f"{error.strerror}{where}.", f"Put it right, then: ftui runs resume {run}")
    if isinstance(error, ImportError):
        return Ending(
            "failed", f"A library is missing or broken: {_first_line(error)}",
            "`ftui probe` says what to install; the whole traceback is in the run's worker.log.",
        )
    if isinstance(error, SystemExit):
        return Ending("failed", f"A library ended the process with {error.code!r}.", f"Read it: ftui runs log {run}")
    return Ending("failed", f"{type(error).__name__}: {_first_line(error)}", f"The traceback: ftui runs log {run}")


def _says_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return "out of memory" in text or "cublas_status_alloc_failed" in text


def _first_line(error: BaseException) -> str:
    """The message's first line, at most 300 characters: torch and transformers write paragraphs."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message."]
    # torch hands on what was thrown in a data worker as text: its traceback, and what it was at the end.
    passed_on = lines[0].startswith("Caught ") and len(lines) > 1
    line = lines[-1].removeprefix(f"{type(error).__name__}: ") if passed_on else lines[0]
    return line if len(line) <= 300 else line[:299] + "…"


def _resume(run: str) -> str:
    return f"Go on from the last checkpoint: ftui runs resume {run}"
