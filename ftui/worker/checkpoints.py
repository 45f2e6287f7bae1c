"""Checkpoints: complete or absent, checked before they are trusted, the newest and the best kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.files import sync_folder, write_atomic

MANIFEST = "ftui.json"
"""In each checkpoint: its files with size and checksum, and what ftui itself must remember (`Memory`)."""

NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth")
"""Without one of these transformers would silently start over in that part."""

CHECKED_BYTES = 32 << 20
"""How much of a file's beginning and of its end goes into the checksum: a whole one costs minutes for large models."""

PROBE_BYTES = 1 << 16


@dataclass(frozen=True)
class Checkpoint:
    """One complete folder `checkpoint-STEP`."""

    path: Path
    step: int

    def memory(self) -> dict[str, Any]:
        """What was handed to `write` as `memory`."""
        found: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))["memory"]
        return found

    def bytes(self) -> int:
        """Its size on disk."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def problem(self) -> str | None:
        """Why it can't be resumed from, None if it is sound."""
        try:
            manifest = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))["files"]
        except (OSError, ValueError, KeyError):
            return f"its {MANIFEST} is missing or broken"
        for name in NEEDED:
            if name not in manifest:
                return f"{name} is missing"
        if strangers := sorted(_files(self.path) - set(manifest) - {MANIFEST}):
            # transformers would take a pytorch_model.bin that lies there for the weights.
            return f"{strangers[0]} was put there by somebody else"
        for name, (size, checksum) in manifest.items():
            file = self.path / name
            try:
                if file.stat().st_size != size or _checksum(file) != checksum:
                    return f"{name} is damaged"
            except OSError:
                return f"{name} is missing"
        return None


def write(folder: Path, step: int, fill: Callable[[Path], None], memory: dict[str, Any]) -> Checkpoint:
    """Make `checkpoint-STEP` in `folder`: `fill` writes into a folder aside, which is synced and then renamed.

    An older checkpoint of the same step, from an earlier attempt, is replaced.
    """
    target = folder / f"checkpoint-{step}"
    with aside(target) as making:
        fill(making)
        files = {
            name: ((making / name).stat().st_size, _checksum(making / name)) for name in sorted(_files(making))
        }
        write_atomic(making / MANIFEST, json.dumps({"memory": memory, "files": files}, indent=1))
    return Checkpoint(target, step)


@contextlib.contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its name, synced, once all went well; else it is removed.

    Raises OSError where the disk refuses it, in whatever words a library says so.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Whoever has made it: without its own name on the disk all that is synced in it is lost.
    sync_folder(target.parent.parent)
    making = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        yield making
        for path in (*making.rglob("*"), making):
            _sync(path)
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            # Two renames: for an instant there is none of the two under the name, never half of one.
            target.rename(old)
        making.rename(target)
        sync_folder(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError:
        raise
    except Exception as error:
        # torch's and safetensors' own errors hide the disk's.
        if refusal := _refusal(making, error):
            raise refusal from error
        raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


def found(folder: Path) -> list[Checkpoint]:
    """The checkpoints in `folder`, newest (highest step) first, sound or not."""
    checkpoints = []
    for path in folder.glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if path.is_dir() and step.isdigit():
            checkpoints.append(Checkpoint(path, int(step)))
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.step, reverse=True)


def newest(folder: Path, on_damage: Callable[[str, str], None]) -> Checkpoint | None:
    """The newest sound checkpoint; each damaged one that is passed over is told to `on_damage` (text, hint).

    Raises BadInput where there are checkpoints and none is sound: starting over silently would throw work away.
    """
    candidates = found(folder)
    for checkpoint in candidates:
        if (problem := checkpoint.problem()) is None:
            return checkpoint
        on_damage(
            f"{checkpoint.path.name} can't be used: {problem}.",
            "Resuming from the one before it." if checkpoint is not candidates[-1] else "No older one is left.",
        )
    if candidates:
        raise BadInput(
            f"None of the {len(candidates)} checkpoints in {folder} can be used.",
            "Launch the run anew, or remove that folder to start this one over.",
        )
    return None


def prune(folder: Path, keep: int, best: int | None) -> None:
    """Remove all but the `keep` newest and the one of step `best`, and what was left half-made by a crash."""
    for checkpoint in found(folder)[keep:]:
        if checkpoint.step != best:
            shutil.rmtree(checkpoint.path, ignore_errors=True)
    for path in folder.glob(".checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)


def _refusal(folder: Path, error: Exception) -> OSError | None:
    """The disk's error behind `error`, by its number where that is said (safetensors), else by what the disk says to
    another write into `folder`; None if it takes it."""
    if found := re.search(r"\(os error (\d+)\)", str(error)):
        return OSError(int(found[1]), os.strerror(int(found[1])))
    try:
        with open(folder / ".probe", "wb", buffering=0) as file:
            file.write(bytes(PROBE_BYTES))
            os.fsync(file.fileno())
    except OSError as refusal:
        return refusal
    return None


def _files(folder: Path) -> set[str]:
    """The names of all files below `folder`, relative to it."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir()}


def _checksum(file: Path) -> int:
    """CRC-32 of the file's first and last `CHECKED_BYTES`."""
    with open(file, "rb") as stream:
        value = zlib.crc32(stream.read(CHECKED_BYTES))
        if (size := os.fstat(stream.fileno()).st_size) > CHECKED_BYTES:
            stream.seek(max(CHECKED_BYTES, size - CHECKED_BYTES))
            value = zlib.crc32(stream.read(), value)
    return value


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    with open(path, "rb") as file:
        os.fsync(file.fileno())
