"""Which data files a run was launched for: a queued run, or one of later stages, reads them hours after they were
planned for, and so does a resume."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from ftui.data.given import SourceLike
from ftui.data.loading import find_files
from ftui.documents import Document
from ftui.errors import FtuiError
from ftui.files import write_atomic
from ftui.recipe.document import Recipe
from ftui.runs.folder import Run

READ_BYTES = 256 << 20
"""So much of all files together is read at most: a launch must not wait for a hundred gigabytes."""
PIECE = 1 << 20
NAME = "sources.json"


class DataFile(Document):
    """A file at one moment: its size, when it was changed (seconds since the epoch), and a SHA-256 of its content, of
    pieces spread evenly over it where it is large."""

    path: str
    bytes: int
    modified: float
    digest: str

    @property
    def said(self) -> str:
        """Size and time in words."""
        return f"{self.bytes:,} bytes of {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.modified))}"


def look(recipe: Recipe) -> tuple[DataFile, ...]:
    """The local files that `recipe` trains and validates on, as they are now; one that can't be read is left out, and
    so are hub datasets, whose revisions don't change."""
    paths = [path for source in _sources(recipe) for path in _files(source)]
    share = max(2 * PIECE, READ_BYTES // max(1, len(paths)))
    found = []
    for path in dict.fromkeys(paths):
        try:
            facts = path.stat()
            digest = _digest(path, facts.st_size, share)
        except OSError:
            # Whoever reads its rows says what is wrong with it.
            continue
        found.append(DataFile(path=str(path), bytes=facts.st_size, modified=facts.st_mtime, digest=digest))
    return tuple(found)


def remember(run: Run, recipe: Recipe) -> None:
    """Write down, in the run's folder, how the files are at its launch."""
    write_atomic(run.path / NAME, json.dumps([file.as_dict() for file in look(recipe)], indent=1) + "\n")


def changes(run: Run, recipe: Recipe) -> list[str]:
    """What has changed in the data's files since the launch of `run`, a sentence for each; nothing where that isn't
    known, as with a run of an older ftui."""
    try:
        before = [DataFile.model_validate(entry) for entry in json.loads((run.path / NAME).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []
    now = {file.path: file for file in look(recipe)}
    found = []
    for then in before:
        if (file := now.pop(then.path, None)) is None:
            found.append(f"{then.path} can't be read any more; at the launch it had {then.said}.")
        elif (file.bytes, file.digest) != (then.bytes, then.digest):
            found.append(f"{then.path} has changed since the launch: {then.said} then, {file.said} now.")
    found += [f"{path} has come since the launch." for path in now]
    return found


def _sources(recipe: Recipe) -> list[SourceLike]:
    from ftui.data import validation_source

    held_out = validation_source(recipe) if recipe.data.sources else None
    return [*recipe.data.sources, *([held_out] if held_out is not None else [])]


def _files(source: SourceLike) -> list[Path]:
    from ftui.data.folders import is_pattern
    from ftui.data.hub import is_hub_dataset

    own = os.path.expanduser(source.path)
    if is_hub_dataset(source.path) or not (os.path.exists(own) or is_pattern(own)):
        return []
    try:
        return find_files(source)
    except FtuiError:
        return []


def _digest(path: Path, size: int, most: int) -> str:
    """SHA-256 of the whole file, or of as many pieces of it as make up `most` bytes, the first and the last among
    them."""
    with open(path, "rb") as file:
        if size <= most:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest, pieces = hashlib.sha256(), most // PIECE
        for piece in range(pieces):
            file.seek((size - PIECE) * piece // (pieces - 1))
            digest.update(file.read(PIECE))
    return digest.hexdigest()
