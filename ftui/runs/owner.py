"""Whose a run is: only its owner starts, stops, changes or removes it, and it is worked on in its own folder alone."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from ftui.errors import Refused
from ftui.files import owner_of
from ftui.runs.folder import Run


def require_own(run: Run) -> None:
    """Raises Refused unless the run's folder is a real one and this user's."""
    try:
        facts = run.path.lstat()
    except OSError as error:
        raise Refused(f"The run {run.id} can't be looked at: {error.strerror} ({run.path}).") from error
    if not stat.S_ISDIR(facts.st_mode):
        raise Refused(f"{run.path} is no folder but a link or a file.", "Give the folder itself: move it there.")
    if facts.st_uid != os.geteuid() and facts.st_uid != _ours_in(run.path):
        name = owner_of(run.path)
        raise Refused(
            f"The run {run.id} is {name}'s, and only {name} can start, stop, change or remove it.",
            "Launch one of your own from its recipe, with your own FTUI_HOME.",
        )


def require_plain(folder: Path) -> None:
    """Raises Refused where a file or folder that a run writes is a link: it would be written, or emptied, elsewhere."""
    try:
        links = [entry.name for entry in os.scandir(folder) if entry.is_symlink()]
    except (FileNotFoundError, NotADirectoryError):
        # No run at all: whoever opens it says that.
        return
    except OSError as error:
        raise Refused(f"The run folder {folder} can't be read: {error.strerror}.", "Check its permissions.") from error
    if links:
        raise Refused(
            f"{folder / links[0]} is a link to {os.readlink(folder / links[0])}; a run is written in its own folder "
            "alone.", "Put the content in its place; to keep runs on another disk, set FTUI_HOME.",
        )


def _ours_in(folder: Path) -> int | None:
    """Whose a file is that we make beside `folder`: some network filesystems give every file one owner."""
    try:
        with tempfile.TemporaryFile(dir=folder.parent) as probe:
            return os.fstat(probe.fileno()).st_uid
    except OSError:
        return None
