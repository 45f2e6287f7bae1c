"""Values of the recipe in the words in which they are typed, and sources in short."""

from __future__ import annotations

import json
from urllib.parse import urlsplit


def shown_value(value: object, separator: str = ",") -> str:
    """true, null, 0.0002, a list with its separators: what `--set` and the editor take back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple | list) and any(isinstance(entry, dict) for entry in value):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        gap = "" if separator.isspace() else " "
        return f"{separator}{gap}".join(str(getattr(entry, "path", entry)) for entry in value)
    return str(value)


def short_source(source: str) -> str:
    """Who says so, in a word: "arXiv 2106.09685", "docs.pytorch.org", or the text itself where it is no address."""
    parts = urlsplit(source)
    if not parts.netloc:
        return source
    if parts.netloc == "arxiv.org":
        return f"arXiv {parts.path.rsplit('/', 1)[-1]}"
    return parts.netloc
