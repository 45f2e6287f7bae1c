"""A power cut: of a folder only what was synced is left: names by the sync of their folder, contents by the file's.

Stricter than any filesystem in use: a file whose name is durable and whose content was not synced is empty.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_held: list[int] = []
"""Open files, so that no number of theirs is given to another."""
_contents: dict[int, bytes] = {}
_listings: dict[int, dict[str, tuple[int, bool]]] = {}


def watch(folder: Path) -> None:
    """Note from now on what is synced below `folder`; what lies there now counts as synced."""
    for place, _, files in os.walk(folder):
        _note(os.open(place, os.O_RDONLY))
        for file in files:
            _note(os.open(Path(place, file), os.O_RDONLY))
    plain = os.fsync

    def fsync(handle: int) -> None:
        plain(handle)
        if os.readlink(f"/proc/self/fd/{handle}").startswith(f"{folder}"):
            _note(os.dup(handle))

    os.fsync = fsync


def leave(folder: Path, target: Path) -> None:
    """Write into `target` what a power cut would leave of `folder` now."""
    _restore(os.stat(folder).st_ino, target)


def _note(handle: int) -> None:
    _held.append(handle)
    facts = os.fstat(handle)
    if stat.S_ISDIR(facts.st_mode):
        _listings[facts.st_ino] = {
            name: ((found := os.stat(name, dir_fd=handle, follow_symlinks=False)).st_ino, stat.S_ISDIR(found.st_mode))
            for name in os.listdir(handle)
        }
    else:
        path = os.readlink(f"/proc/self/fd/{handle}")
        with open(f"/proc/self/fd/{handle}" if path.endswith("(deleted)") else path, "rb") as file:
            _contents[facts.st_ino] = file.read()


def _restore(inode: int, target: Path) -> None:
    target.mkdir()
    for name, (each, is_folder) in _listings.get(inode, {}).items():
        if is_folder:
            _restore(each, target / name)
        else:
            (target / name).write_bytes(_contents.get(each, b""))
