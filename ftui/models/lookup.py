"""`describe()` and `locate()`: what a reference means, and who answers for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.models.config import is_path
from ftui.models.document import ModelShape

DEMO = "demo"


def describe(ref: str, revision: str | None = None) -> ModelShape:
    """What the base model `ref` is: a local folder, a config.json, a hub id, a catalogue id, or "demo".

    No torch, no weights: the config, the weight files' headers and the tokenizer's files are read.  Exact for the
    families in `ftui.models.families`; `exact` and `inexact_reason` say where not.  `revision` (branch, tag or commit)
    is for hub ids.  Raises BadInput or Refused with one sentence for whatever can't be described.
    """
    ref = ref.strip()
    if not ref:
        raise BadInput("No model was named.", "Give a hub id like Qwen/Qwen3-0.6B, a folder, or demo.")
    if ref == DEMO:
        return _demo()
    if is_path(ref):
        from ftui.models.local import describe_path

        return describe_path(ref)
    from ftui.models.remote import describe_hub

    return describe_hub(ref, revision)


def config_of(ref: str, revision: str | None = None) -> dict[str, Any]:
    """The config.json of `ref` as it is, from a folder, a bare file or the hub."""
    from ftui.models.config import read_json
    from ftui.models.local import config_in, existing

    if ref == DEMO:
        from ftui.models.demo import ensure_folder

        return read_json(config_in(ensure_folder()))
    if is_path(ref):
        path = existing(ref)
        return read_json(config_in(path) if path.is_dir() else path)
    from ftui.models.remote import config_of_hub

    return config_of_hub(ref, revision)


def locate(ref: str, revision: str | None = None) -> Path | None:
    """The folder on this disk that holds the model's config, tokenizer and uncut weights, None where none does."""
    from ftui.models import local

    if ref == DEMO:
        from ftui.models.demo import folder

        return folder() if local.whole(folder()) else None
    if is_path(ref):
        path = Path(os.path.expanduser(ref))
        try:
            return path.absolute() if path.is_dir() and local.whole(path) else None
        except (OSError, ValueError):  # a name that no file system takes
            return None
    from ftui.models.remote import locate_hub

    return locate_hub(ref, revision)


def tokenizer_folder(ref: str, revision: str | None = None) -> Path:
    """A folder with the model's tokenizer files, its weights or not; of a hub id fetched (a few MB) where missing.

    Raises as `describe` does: gated, missing, offline in one sentence each.
    """
    from ftui.models.local import config_in, existing

    if ref == DEMO:
        from ftui.models.demo import ensure_folder

        return ensure_folder()
    if is_path(ref):
        path = existing(ref)
        return config_in(path).parent if path.is_dir() else path.parent
    from ftui.models.remote import tokenizer_folder_of_hub

    return tokenizer_folder_of_hub(ref, revision)


def _demo() -> ModelShape:
    from ftui.models.demo import ensure_folder
    from ftui.models.local import describe_folder

    folder = ensure_folder()
    try:
        return describe_folder(folder, DEMO)
    except BadInput as error:
        # It is ftui's own: nothing is to be downloaded again.
        raise BadInput(
            f"The demo model in {folder} is damaged: {error.what}", f"Remove it, and it is made anew: rm -r {folder}"
        ) from None
