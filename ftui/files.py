"""Writing files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import json
import os
import pwd
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ftui import paths, redaction


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Write `content` to `path` by a rename within the same folder, synced to disk before it takes the name.

    Secrets of this environment are left out of a text that is kept in ftui's home.
    """
    make_folder(path.parent)
    if isinstance(content, str) and paths.home() in path.parents:
        content = redaction.hide_known(content)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        # Whatever comes between, an interrupt too: no half of a file stays, and it goes on as it came.
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make `folder` where it is missing; ftui's home and what lies below it are for their owner alone, by any umask.

    A home that FTUI_HOME names and that was there before keeps its permissions: it may hold more than ours.
    """
    home = paths.home()
    if folder != home and home not in folder.parents:
        folder.mkdir(parents=True, exist_ok=True)
        return
    home.parent.mkdir(parents=True, exist_ok=True)
    below = [each for each in (folder, *folder.parents) if each == home or home in each.parents]
    for each in reversed(below):
        try:
            each.mkdir(mode=0o700)
            new = True
        except FileExistsError:
            new = False
        facts = each.stat()
        ours = new or each != home or not os.environ.get("FTUI_HOME")
        if ours and facts.st_uid == os.geteuid() and facts.st_mode & 0o777 != 0o700:
            each.chmod(0o700)


def owner_of(path: Path) -> str:
    """The name of the user to whom `path` belongs, or their number where it has none here."""
    owner = path.stat().st_uid
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; filesystems that refuse to sync a folder are left alone."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as the text of a JSONL file."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
