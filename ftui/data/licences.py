"""The licence that a dataset is under, as its card or a licence file beside it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ftui.data.document import Finding, Source
from ftui.units import plain

_LOOKED_AT = 8000
_CARD = re.compile(
    r"\A---\s*\n.*?^licen[cs]e(?:_name)?:[ \t]*(?:\n\s*-\s*)?['\"]?([^\s'\"#]+)", re.MULTILINE | re.DOTALL
)
_TITLES = (
    ("Apache License", "apache-2.0"), ("MIT License", "mit"), ("Permission is hereby granted, free of charge", "mit"),
    ("NonCommercial", "cc-by-nc"), ("Attribution-ShareAlike 4.0", "cc-by-sa-4.0"), ("Attribution 4.0", "cc-by-4.0"),
    ("CC0", "cc0-1.0"), ("GNU GENERAL PUBLIC LICENSE", "gpl"), ("BSD", "bsd"),
    ("Open Data Commons Attribution", "odc-by"),
)  # fmt: skip
_RESTRICTED = re.compile(r"(?:^|[-_])(?:nc|nd)(?:$|[-_])|other|unknown|llama|gemma|research", re.IGNORECASE)


def licences(sources: Iterable[Source]) -> Iterator[Finding]:
    """What is said of the licence of each folder that the sources stand in; nothing where nothing is said."""
    for folder in dict.fromkeys(Path(source.path).parent for source in sources if source.path):
        if (found := _licence(folder)) is None:
            continue
        name, file = found
        restricted = bool(_RESTRICTED.search(name))
        yield Finding(
            name="licence",
            severity="warning" if restricted else "note",
            count=1,
            text=f"The data is under {plain(name)}, says {plain(file.name)} beside it.",
            why="What is trained on it may be bound by its terms."
            + (" These forbid some uses, or name terms of their own." if restricted else ""),
            hint="Read them before the result goes to others.",
        )


def _licence(folder: Path) -> tuple[str, Path] | None:
    for name in ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"):
        file = folder / name
        try:
            if not file.is_file():
                continue
            with file.open(encoding="utf-8", errors="replace") as opened:
                text = opened.read(_LOOKED_AT)
        except OSError:
            # A file that can't be read says nothing.
            continue
        if name == "README.md":
            if found := _CARD.search(text):
                return found[1], file
        elif known := next((known for title, known in _TITLES if title in text), None):
            return known, file
    return None
