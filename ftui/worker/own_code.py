"""Running a model's own code, where the user has agreed to it: the one place where ftui has code imported that is
neither its own nor an installed library's.

transformers' own switch (`trust_remote_code`) is never on. Its classes are imported here from a private copy of the
files that were checked, and registered with transformers, so that whatever loads the model afterwards finds them as if
they were built in; a tokenizer's or processor's code is not registered, and so never run.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from ftui import paths
from ftui.errors import BadInput, Refused
from ftui.files import make_folder, write_atomic
from ftui.models.config import read_json
from ftui.models.own_code import COMMIT, OwnCode, check, look, needed
from ftui.models.trusted import against

_admitted: dict[str, str] = {}
"""Model type -> the hash of the code that stands for it in this process."""


def admit_for(folder: Path, base: str, revision: str | None, hash: str | None) -> None:
    """As `admit`, where the model in `folder`, which is `base` or was made of it, needs code of its own."""
    config = folder / "config.json"
    if config.is_file() and needed(read_json(config)):
        admit(base, revision, hash)


def admit(base: str, revision: str | None, hash: str | None) -> None:
    """Have transformers know the classes of the model `base` where it needs its own; nothing where it doesn't.

    `hash` is what the recipe's `model.trust_code` says, None for whatever the user has agreed to.  Before anything is
    imported, what lies on this disk is held against both; Refused where they differ or nobody has agreed.
    """
    if hash is not None and COMMIT.fullmatch(hash):
        revision = revision or hash
    code = look(base, revision)
    if code is None:
        return
    if reason := against(code, hash):
        raise Refused(*reason)
    if not (kind := code.model_type):
        raise BadInput(f"{base} needs its own code, and its config.json names no model_type.", "Choose another model.")
    if _admitted.get(kind) == code.hash:
        return
    if kind in _admitted:
        raise Refused(f"Two models call themselves {kind!r} and bring different code.", "Use one of them at a time.")
    print(f"Running the code that {code.ref} brings along ({code.said}; {code.hash}).", flush=True)
    try:
        _register(kind, code)
    except Exception as error:
        # It is a stranger's code: whatever it throws is said as what it is.
        said = (str(error).strip().splitlines() or [""])[0]
        raise BadInput(
            f"The code of {code.ref} can't be used: {type(error).__name__}: {said}",
            "It may be written for another transformers; the whole traceback is in the run's worker.log.",
        ) from error
    _admitted[kind] = code.hash


def _register(kind: str, code: OwnCode) -> None:
    import transformers
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    folder = str(keep(code))
    made: dict[str, Any] = {
        name: get_class_from_dynamic_module(where, folder, local_files_only=True)
        for name, where in code.classes.items() if hasattr(transformers, name)
    }
    config: Any = made.pop("AutoConfig", None)
    if config is None:
        config = transformers.CONFIG_MAPPING[kind]
    else:
        transformers.AutoConfig.register(kind, config, exist_ok=True)
        # So that a model saved whole carries its code along.
        config.register_for_auto_class()
    for name, model in made.items():
        getattr(transformers, name).register(config, model, exist_ok=True)
        model.register_for_auto_class(name)


def keep(code: OwnCode) -> Path:
    """A folder in ftui's cache, ours alone, that holds exactly the files of `code`, as they were read and checked."""
    check(code.ref, code.classes, code.files)
    content = hashlib.sha256()
    for name, text in sorted(code.files.items()):
        content.update(f"{name}\0{len(text)}\0".encode() + text)
    folder = paths.cache_dir() / "code" / f"of_{content.hexdigest()[:32]}"
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    if any(path.is_symlink() or code.files.get(name) != path.read_bytes() for name, path in there.items()):
        shutil.rmtree(folder)
        there = {}
    make_folder(folder)
    for name, text in code.files.items():
        if name not in there:
            write_atomic(folder / name, text)
    return folder
