"""A base model whose vocabulary was extended (`ftui models extend`): which tokens it has got."""

from __future__ import annotations

import json
from pathlib import Path

from ftui.paths import METADATA

KEY = "added_tokens"


def added_tokens(base: str) -> tuple[str, ...]:
    """The tokens that the model in the folder `base` has got; none where it is no such folder."""
    if not base:
        return ()
    try:
        found = json.loads((Path(base).expanduser() / METADATA).read_bytes())
    except (OSError, ValueError, RuntimeError):
        # A hub id, a folder of somebody else's, a name that no filesystem takes.
        return ()
    tokens = found.get(KEY) if isinstance(found, dict) else None
    return tuple(token for token in tokens if isinstance(token, str)) if isinstance(tokens, list) else ()
