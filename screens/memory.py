"""What the app remembers between starts: small JSON files under `paths.state_file`."""

from __future__ import annotations

import json
from typing import Any

from ftui import paths
from ftui.files import write_atomic


def recall(name: str) -> dict[str, Any]:
    """The content of the state file `name`; empty where there is none, or none that can be read."""
    try:
        content = json.loads(paths.state_file(name).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(name: str, content: dict[str, Any]) -> None:
    """Write the state file `name` whole, or leave the old one; a full or read-only disk raises OSError."""
    write_atomic(paths.state_file(name), json.dumps(content, indent=2))


def forget(name: str) -> None:
    """Remove the state file `name`."""
    paths.state_file(name).unlink(missing_ok=True)
