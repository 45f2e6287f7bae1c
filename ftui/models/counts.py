"""What `count` jobs found out: exact counts of models whose family ftui doesn't know, kept by their config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ftui import paths
from ftui.documents import Document
from ftui.files import write_atomic
from ftui.models.document import Linear

IGNORED = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache")
"""Keys that don't change any shape."""


class Counted(Document):
    """What the real class, built on the meta device by a worker, has."""

    architecture: str
    parameters: int
    embedding_parameters: int
    tied_embeddings: bool
    linears: tuple[Linear, ...]
    transformers: str
    """The version that built it."""


def key(config: Mapping[str, Any]) -> str:
    """A name for all configs with the same shapes."""
    relevant = {name: value for name, value in config.items() if name not in IGNORED}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True, default=str).encode()).hexdigest()[:24]


def path(config: Mapping[str, Any]) -> Path:
    return paths.cache_dir() / "counts" / f"{key(config)}.json"


def read(config: Mapping[str, Any]) -> Counted | None:
    """What an earlier job counted for this config, None where none did or its file is damaged."""
    try:
        return Counted.from_json(path(config).read_bytes())
    except (OSError, ValidationError):
        return None


def write(config: Mapping[str, Any], counted: Counted) -> None:
    """Keep a count, so that the next `describe()` is exact."""
    write_atomic(path(config), counted.to_json())
