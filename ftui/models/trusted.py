"""To which models' own code the user of this machine has agreed: `trusted-code.json` in ftui's home, for them alone.

A recipe can name a hash (`model.trust_code`), but only its reader can agree: who gives a recipe away doesn't decide
what runs on another's machine.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ftui import paths
from ftui.errors import Refused
from ftui.files import write_atomic
from ftui.models.own_code import COMMIT, OwnCode, look

FILE = "trusted-code.json"


def trusted(ref: str, hash: str) -> bool:
    """Whether the user has agreed to run the code of `ref` with this hash."""
    return any(entry.get("model") == ref and entry.get("hash") == hash for entry in _entries())


def trust(code: OwnCode) -> None:
    """Keep that the user agrees to exactly this code."""
    if not trusted(code.ref, code.hash):
        _keep([*_entries(), {"model": code.ref, "hash": code.hash, "time": time.time()}])


def distrust(ref: str) -> int:
    """Take back every agreement to code of `ref`; returns how many there were."""
    found = _entries()
    left = [entry for entry in found if entry.get("model") not in (ref, str(Path(ref).expanduser().absolute()))]
    if len(left) < len(found):
        _keep(left)
    return len(found) - len(left)


def agree(base: str, revision: str | None, hash: str) -> OwnCode | None:
    """Trust the code of the model `base`, whose hash the user has given; None where it needs none.

    Raises Refused where the code has another hash.
    """
    code = look(base, revision or (hash if COMMIT.fullmatch(hash) else None))
    if code is not None:
        if code.hash != hash:
            raise Refused(*_other(code, hash))
        trust(code)
    return code


def untrusted(base: str, revision: str | None, hash: str | None) -> tuple[str, str] | None:
    """Why the code of its own that `base` needs may not run, and what to do; None where it may, or there is none.

    `hash` is the recipe's, None where it leaves that to what the user has agreed to.
    """
    code = look(base, revision)
    return None if code is None else against(code, hash)


def against(code: OwnCode, hash: str | None) -> tuple[str, str] | None:
    """What speaks against running exactly `code`, and what to do; None for nothing."""
    if hash is not None and code.hash != hash:
        return _other(code, hash)
    if trusted(code.ref, code.hash):
        return None
    return (
        f"{code.ref} needs Python code of its own ({code.said}; {_named(code.hash)}). It would run as you, and could "
        "read your files and tokens.",
        f"Read it: ftui models code {code.ref}. If you trust it: --set model.trust_code={code.hash}",
    )


def _other(code: OwnCode, hash: str) -> tuple[str, str]:
    return (
        f"The code of {code.ref} is not the one that was agreed to: it is {_named(code.hash)} now, and was "
        f"{_named(hash)}.",
        f"Read it anew: ftui models code {code.ref}. If you trust it: --set model.trust_code={code.hash}",
    )


def _named(hash: str) -> str:
    return f"commit {hash}" if COMMIT.fullmatch(hash) else hash


def _entries() -> list[dict[str, object]]:
    """What the file holds; nothing where it can't be read, isn't ours, or others may write it."""
    path = paths.home() / FILE
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
            return []
        try:
            found = json.loads(file.read())
        except (ValueError, RecursionError):
            return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _keep(entries: list[dict[str, object]]) -> None:
    write_atomic(paths.home() / FILE, json.dumps(entries, indent=2) + "\n")
