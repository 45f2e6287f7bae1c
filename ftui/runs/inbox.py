"""Commands to a running worker: files renamed into the run's inbox, taken by the worker at a step boundary."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ftui.errors import BadInput, Refused
from ftui.files import write_atomic
from ftui.runs.folder import Run

CommandName = Literal["stop", "checkpoint", "evaluate", "sample"]
LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Command:
    """What the user asked the worker to do next."""

    name: CommandName
    args: dict[str, Any] = field(default_factory=dict)


def send(run: Run, name: CommandName, **args: Any) -> None:
    """Put a command into the inbox of `run`; raises BadInput for one that no worker knows, Refused on a full disk."""
    if name not in get_args(CommandName):
        raise BadInput(f"There is no command {name!r} for a run.", f"Known: {', '.join(get_args(CommandName))}.")
    # The name orders them; the random part keeps two senders of one instant apart.
    try:
        write_atomic(run.inbox / f"{time.time_ns():020d}-{secrets.token_hex(4)}.json", json.dumps([name, args]))
    except OSError as error:
        raise Refused(
            f"The run {run.id} can't be told: {error.strerror} ({run.inbox}).",
            f"Free some space or give write permission. To kill its worker all the same: ftui runs stop {run.id} --now",
        ) from error


def take(folder: Path) -> list[Command]:
    """Remove and return the commands that wait in the run folder `folder`, oldest first.

    Files that are no command (garbage, links, another owner's) are removed and left out.
    """
    commands = []
    for path in waiting(folder):
        command = _read(path)
        path.unlink(missing_ok=True)
        if command:
            commands.append(command)
    return commands


def clear(folder: Path) -> None:
    """Remove every waiting command: those of an earlier attempt must not reach the next one."""
    for path in waiting(folder):
        path.unlink(missing_ok=True)


def waiting(folder: Path) -> list[Path]:
    """The command files in the inbox, oldest first; those being written have names that start with a dot."""
    try:
        names = os.listdir(folder / "inbox")
    except FileNotFoundError:
        return []
    return [folder / "inbox" / name for name in sorted(names) if not name.startswith(".")]


def _read(path: Path) -> Command | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if facts.st_uid != os.getuid() or facts.st_size > LIMIT_BYTES:
            return None
        try:
            name, args = json.loads(file.read())
        except (ValueError, TypeError, OSError, RecursionError):
            return None
    return Command(name, args) if name in get_args(CommandName) and isinstance(args, dict) else None
