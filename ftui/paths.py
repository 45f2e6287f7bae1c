"""Where ftui keeps things: everything lies under `home()`, which `FTUI_HOME` moves as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from ftui.errors import BadInput

METADATA = "ftui.json"
"""Beside a result, or a model that ftui wrote: what it was made from, and what else only ftui asks for."""


def home() -> Path:
    """`$FTUI_HOME`, else the user's XDG data folder for ftui. It need not exist yet.

    Raises BadInput where FTUI_HOME can be no folder.
    """
    override = os.environ.get("FTUI_HOME")
    if not override:
        return Path(platformdirs.user_data_dir("ftui"))
    try:
        path = Path(override).expanduser().absolute()
    except RuntimeError:
        raise BadInput(f"FTUI_HOME is {override}, and there is no such user.", "Set it to a folder.") from None
    if path.is_file():
        raise BadInput(f"FTUI_HOME is {override}, which is a file.", "Set it to a folder; it need not exist yet.")
    return path


def runs_dir() -> Path:
    """The folder of the run folders."""
    return home() / "runs"


def models_dir() -> Path:
    """The folder of models that ftui made itself, such as the demo's."""
    return home() / "models"


def cache_dir() -> Path:
    """Disposable things: indexes, look-ups, calibration tables that can be made again."""
    return home() / "cache"


def state_file(name: str) -> Path:
    """A small file of the app's own state (theme, unfinished wizard), named `name`."""
    return home() / "state" / name


def hub_cache_dir() -> Path:
    """Where huggingface_hub keeps downloads, by its own rules and without importing it."""
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    hf_home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(hf_home).expanduser() / "hub"
