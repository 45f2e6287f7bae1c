"""The Python code that a model brings along (`auto_map` in its config.json): which files, and what pins them.

Such code would run as the user. So it is read here as text and never imported; a hash stands for exactly these files,
and `ftui.models.trusted` keeps to which hashes the user has agreed. Code for tokenizers, processors and datasets is
never run: what ftui reads of them it reads itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.errors import BadInput, Refused
from ftui.models import families
from ftui.models.config import is_path, language, read_json
from ftui.units import kib

MOST_FILES = 100
MOST_BYTES = 4 << 20
"""A model's code is a few files of some hundred lines; what is more is something else."""

CLASS = re.compile(r"(?:[A-Za-z_]\w*/)*[A-Za-z_]\w*\.[A-Za-z_]\w*")
"""How auto_map names a class: a file of the same repository without its .py, a dot, the class."""
RELATIVE = re.compile(r"^\s*from\s+\.([A-Za-z_]\w*)\s+import", re.MULTILINE)
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class OwnCode:
    """The code of one model: `files` maps names, as they stand in the repository, to contents."""

    ref: str
    """A hub id, or the absolute path of a folder."""
    model_type: str
    """What config.json calls it, by which transformers finds its classes."""
    hash: str
    """The commit of the hub's repository, or of a folder "sha256:" with a digest of its code."""
    classes: Mapping[str, str]
    """What transformers would load from it: "AutoModelForCausalLM" -> "modeling_x.XForCausalLM"."""
    files: Mapping[str, bytes]

    @property
    def author(self) -> str:
        """Whose it is: the owner of the hub's repository, or of the folder on this disk."""
        if not os.path.isabs(self.ref):
            return self.ref.split("/")[0]
        from ftui.files import owner_of

        return owner_of(Path(self.ref))

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(map(len, self.files.values()))

    @property
    def said(self) -> str:
        """The files in a few words: "2 files, 3.1 KiB: configuration_x.py, modeling_x.py"."""
        names = list(self.files)
        some = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return f"{len(names)} file{'s' * (len(names) != 1)}, {kib(self.bytes)}: {some}"


def classes_of(config: Mapping[str, Any]) -> dict[str, str]:
    """What `config` says of the model's own configuration and model classes; those of tokenizers are left out."""
    found = config.get("auto_map")
    if not isinstance(found, dict):
        return {}
    return {
        name: each for name, each in found.items()
        if isinstance(each, str) and (name == "AutoConfig" or str(name).startswith("AutoModel"))
    }


def needed(config: Mapping[str, Any]) -> dict[str, str]:
    """The classes of its own without which the model of `config` can't be loaded; none where transformers has it.

    Many repositories keep the code from before their model came into transformers: that is not run.
    """
    family = families.find(language(config).text)
    return classes_of(config) if family is None or family.remote_code else {}


def look(ref: str, revision: str | None = None) -> OwnCode | None:
    """The code that the model `ref` needs, None where it needs none; from the hub's cache, or fetched into it.

    Raises BadInput for code that can't be pinned: of another repository, missing, too large; Refused or BadInput as
    `describe` does where the hub has no answer.
    """
    from ftui.models.lookup import DEMO

    if ref == DEMO:
        return None
    return _of_folder(Path(os.path.expanduser(ref)).absolute()) if is_path(ref) else _of_hub(ref, revision)


def _of_folder(folder: Path) -> OwnCode | None:
    if not folder.is_dir():
        return None
    config = read_json(folder / "config.json", "the model's config")
    if not (classes := needed(config)):
        return None
    files = read(folder)
    check(str(folder), classes, files)
    return OwnCode(str(folder), str(config.get("model_type") or ""), digest(classes, files), classes, files)


def _of_hub(ref: str, revision: str | None) -> OwnCode | None:
    from ftui.models import known, remote

    ref = known.hub_id(ref)
    folder = remote.snapshot_of(ref, revision)
    if folder is None or not (folder / "config.json").is_file():
        folder = remote.code_folder_of_hub(ref, revision)
    config = read_json(folder / "config.json", f"{ref}'s config")
    if not (classes := needed(config)):
        return None
    files = read(folder)
    if absent(classes, files):
        # A training that fetched the model without its code.
        folder = remote.code_folder_of_hub(ref, folder.name)
        files = read(folder)
    check(ref, classes, files)
    for name in files:
        _require_intact(folder, name, files[name])
    return OwnCode(ref, str(config.get("model_type") or ""), folder.name, classes, files)


def read(folder: Path) -> dict[str, bytes]:
    """Every Python file below `folder`, by its name relative to it, in order; hidden folders are left out."""
    found: dict[str, bytes] = {}
    size = 0
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for path in (Path(where) / name for name in sorted(names) if name.endswith(".py")):
            facts = path.stat()
            size += facts.st_size
            if len(found) >= MOST_FILES or size > MOST_BYTES or not stat.S_ISREG(facts.st_mode):
                raise BadInput(
                    f"{folder} holds more Python code than a model has ({MOST_FILES} files, {kib(MOST_BYTES)}).",
                    "Give a folder that holds the model and nothing else.",
                )
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def digest(classes: Mapping[str, str], files: Mapping[str, bytes]) -> str:
    """"sha256:" and the digest of which classes are loaded from which files, whole."""
    content = [sorted(classes.items()), [(name, hashlib.sha256(files[name]).hexdigest()) for name in sorted(files)]]
    return f"sha256:{hashlib.sha256(json.dumps(content).encode()).hexdigest()}"


def absent(classes: Mapping[str, str], files: Mapping[str, bytes]) -> str | None:
    """The first file that the classes need, directly or by each other's relative imports, and that isn't there."""
    waiting = [each.rpartition(".")[0] + ".py" for each in classes.values() if CLASS.fullmatch(each)]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in files:
            return name
        beside = name.rpartition("/")[0]
        text = files[name].decode("utf-8", "replace")
        waiting += [f"{beside}/{each}.py".lstrip("/") for each in RELATIVE.findall(text)]
    return None


def check(ref: str, classes: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    """BadInput where the code is not all in the model's own files."""
    for each in classes.values():
        if "--" in each:
            raise BadInput(
                f"{ref} takes its code from another repository ({each.split('--')[0]}), which no hash of it pins.",
                "Copy model and code into one folder, and give that.",
            )
        if not CLASS.fullmatch(each):
            raise BadInput(f"{ref} names its code as {each[:80]!r}, which is no file of it.", "Choose another model.")
    if name := absent(classes, files):
        raise BadInput(f"{ref} needs its file {name}, which isn't there.", "Download the model again, whole.")


def _require_intact(folder: Path, name: str, content: bytes) -> None:
    """The hub's cache names each file's content by git's hash of it: what was changed since is no more that commit."""
    blob = folder / name
    stated = Path(os.readlink(blob)).name if blob.is_symlink() else None
    actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    kept = (folder.parent.parent / "blobs" / actual).is_file() if stated is None else stated == actual
    if not kept:
        raise Refused(
            f"The file {name} in {folder} is not what the commit {folder.name[:12]} holds: it was changed here.",
            f"Remove the folder and fetch the model again: rm -r {folder}",
        )
