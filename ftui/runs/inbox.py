"""Commands to a running worker: files renamed into the run's inbox, taken by the worker at a step boundary."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ftui.errors import BadInput, Refused
from ftui.files import write_atomic
from ftui.runs.folder import Run
from ftui.runs.owner import require_own, require_plain

CommandName = Literal["stop", "checkpoint", "evaluate", "sample"]
LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Command:
    """What the user asked the worker to do next."""

    name: CommandName
    args: dict[str, Any] = field(default_factory=dict)


def send(run: Run, name: CommandName, **args: Any) -> None:
    """Put a command into the inbox of `run`; raises BadInput for one that no worker knows, Refused on a full disk or
    where the run is somebody else's."""
    if name not in get_args(CommandName):
        raise BadInput(f"There is no command {name!r} for a run.", f"Known: {', '.join(get_args(CommandName))}.")
    require_own(run)
    require_plain(run.path)
    # The name orders them; the random part keeps two senders of one instant apart.
    try:
        write_atomic(run.inbox / f"{time.time_ns():020d}-{secrets.token_hex(4)}.json", json.dumps([name, args]))
    except OSError as error:
        raise Refused(
            f"The run {run.id} can't be told: {error.strerror} ({run.inbox}).",
            f"Free some space or give write permission. To kill its worker all the same: ftui runs stop {run.id} --now",
        ) from error


@dataclass(frozen=True)
class Taken:
    """What waited: the commands, oldest first, and the names of what came from somebody else and is not obeyed."""

    commands: list[Command]
    foreign: list[str]


def take(folder: Path) -> Taken:
    """Remove and return what waits in the run folder `folder`.

    Only whom the run folder belongs to gives commands; files that are none (garbage, links) are removed and left out.
    """
    taken = Taken([], [])
    with _opened(folder) as place:
        if place is None:
            return taken
        owner = os.stat(folder).st_uid
        for name in _names(place):
            command, foreign = _read(place, name, owner)
            _remove(place, name)
            if foreign:
                taken.foreign.append(name)
            elif command:
                taken.commands.append(command)
    return taken


def clear(folder: Path) -> None:
    """Remove every waiting command: those of an earlier attempt must not reach the next one."""
    with _opened(folder) as place:
        for name in _names(place) if place is not None else ():
            _remove(place, name)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """The inbox itself, by a handle: a link in its place, which would have another folder emptied, is not followed."""
    try:
        place = os.open(folder / "inbox", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        yield place
    finally:
        os.close(place)


def _names(place: int) -> list[str]:
    """The command files, oldest first; those being written have names that start with a dot."""
    return sorted(name for name in os.listdir(place) if not name.startswith("."))


def _remove(place: int | None, name: str) -> None:
    # A folder, or what its owner protects, stays: it is no command, and no reason to end.
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=place)


def _read(place: int, name: str, owner: int) -> tuple[Command | None, bool]:
    """(the command in the file, None where it is none; whether the file is somebody else's)."""
    try:
        before = os.lstat(name, dir_fd=place)
        if before.st_uid != owner:
            return None, True
        if not stat.S_ISREG(before.st_mode):
            return None, False
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError:
        return None, False
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if facts.st_uid != owner:
            return None, True
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LIMIT_BYTES:
            return None, False
        try:
            said, args = json.loads(file.read(LIMIT_BYTES))
        except (ValueError, TypeError, OSError, RecursionError):
            return None, False
    known = said in get_args(CommandName) and isinstance(args, dict)
    return (Command(said, args) if known else None), False
