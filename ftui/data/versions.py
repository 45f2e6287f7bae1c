"""Which data it was: a source's content by its hash, so that a run says on what exactly it was trained."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ftui.data.document import SourceVersion
from ftui.data.loading import Loaded


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 of one file's bytes, as `sha256sum` prints it; of several, of the lines that it prints of them."""
    each = []
    for path in files:
        with open(path, "rb") as file:
            each.append((hashlib.file_digest(file, "sha256").hexdigest(), path.name))
    if len(each) == 1:
        return each[0][0]
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in each).encode()).hexdigest()


def version_of(loaded: Loaded, rows: int) -> SourceVersion:
    """The version of a source of which `rows` are used; the rows of a user's own function have no hash."""
    files = [file.path for file in loaded.files]
    own = any(file.container == "function" for file in loaded.files)
    return SourceVersion(
        ref=loaded.given.path, rows=rows, bytes=loaded.bytes, sha256=None if own else digest_of(files),
        revision=revision_in(files) or loaded.given.revision,
    )  # fmt: skip


def revision_in(files: Sequence[Path]) -> str | None:
    """The commit of a hub dataset, by where its files lie in the hub cache."""
    for path in files:
        parts = path.parts
        if "snapshots" in parts[:-1]:
            return parts[parts.index("snapshots") + 1]
    return None
