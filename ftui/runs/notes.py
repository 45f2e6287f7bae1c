"""Tags and a note on a run: a small document of people's in its folder, which no worker reads or writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from ftui.documents import Document
from ftui.errors import BadInput, Refused
from ftui.files import write_atomic
from ftui.runs.folder import Run
from ftui.units import plain

FILE = "notes.json"
UNREAD = "notes.json.unread"
"""Where a file that was no such document is put when a new one takes its place."""
MOST_TAGS, MOST_LETTERS, LIMIT_BYTES = 16, 2_000, 1 << 16
TAG = re.compile(r"\w[\w.:/+-]{0,31}")

_one_thread = threading.Lock()
"""Locks on files are a process's: its own threads would all have them."""


class Notes(Document):
    """What people have put to a run: lower-case tags in the order in which they were given, and a text."""

    # Perhaps written by a newer ftui: keys that this one doesn't know are left out.
    model_config = ConfigDict(extra="ignore")

    v: int = 1
    tags: tuple[str, ...] = ()
    note: str = ""


NONE = Notes()


def read(run: Run) -> Notes:
    """The tags and the note of `run`; none where there are none, or the file can't be read."""
    return _read(run.path / FILE) or NONE


def tag(run: Run, words: Iterable[str]) -> Notes:
    """Change the tags of `run` by `words` such as "+good", "good" (both add) and "-draft" (takes away).

    Returns what stands now.  Raises BadInput for a word that can be no tag, Refused where it can't be written.
    """
    add, remove = parse(words)

    def changed(notes: Notes) -> Notes:
        kept = [each for each in notes.tags if each not in remove]
        tags = (*kept, *(each for each in add if each not in kept))
        if len(tags) > MOST_TAGS:
            raise BadInput(f"A run takes {MOST_TAGS} tags; these are {len(tags)}.", "Take some away: -TAG.")
        return notes.model_copy(update={"tags": tags})

    return _change(run, changed)


def note(run: Run, text: str) -> Notes:
    """Write the note of `run`, in place of the one there was; an empty text takes it away."""
    # A shell may hand over bytes that are no text; no JSON holds them.
    text = text.encode(errors="backslashreplace").decode().strip()
    if len(text) > MOST_LETTERS:
        raise BadInput(f"A note takes {MOST_LETTERS:,} letters; this has {len(text):,}.", "Say it in fewer.")
    return _change(run, lambda notes: notes.model_copy(update={"note": text}))


def parse(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """(tags to add, tags to take away), in lower case; what is named twice goes by its last word."""
    wanted: dict[str, bool] = {}
    for word in words:
        name = word.lstrip("+-").lower() if word[:1] in "+-" else word.lower()
        if not TAG.fullmatch(name) or word[:2] in ("++", "--", "+-", "-+"):
            raise BadInput(
                f"{plain(word[:40])!r} can be no tag.",
                "A tag is one word of up to 32 letters, digits, _ . : / + and -; -TAG takes one away.",
            )
        wanted.pop(name, None)
        wanted[name] = word[0] != "-"
    return [name for name, put in wanted.items() if put], [name for name, put in wanted.items() if not put]


def _change(run: Run, change: Callable[[Notes], Notes]) -> Notes:
    """Read, change and write under a lock, so that of two apps at once neither loses what the other wrote."""
    path = run.path / FILE
    try:
        with _alone(run):
            before = _read(path)
            after = change(before or NONE)
            if before is None and path.exists():
                # Whatever it was, somebody wrote it: it stays beside the new one.
                os.replace(path, run.path / UNREAD)
            if after != (before or NONE):
                write_atomic(path, after.to_json())
    except OSError as error:
        raise Refused(
            f"The tags and the note of {run.id} can't be written: {error.strerror} ({error.filename or path}).",
            "Free some space or give write permission.",
        ) from error
    return after


@contextlib.contextmanager
def _alone(run: Run) -> Iterator[None]:
    with _one_thread, open(run.path / ".notes.lock", "w") as file:
        with contextlib.suppress(OSError):
            # Where the filesystem has no locks, the last of two writers at one instant wins.
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> Notes | None:
    """None where there is no such file, or it is none of ours."""
    try:
        with open(path, "rb") as file:
            return Notes.from_json(file.read(LIMIT_BYTES))
    except (OSError, ValidationError):
        return None
