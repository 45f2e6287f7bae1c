"""Every term that ftui uses, in two sentences and with who says so; the texts stand in `glossary.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Term:
    """`text` is two sentences, `source` the address of who says so, `also` are other names that lead here."""

    name: str
    text: str
    source: str
    also: tuple[str, ...] = ()


def _read() -> tuple[Term, ...]:
    entries = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return tuple(Term(**{**entry, "also": tuple(entry.get("also", ()))}) for entry in entries)


TERMS = _read()


def look_up(term: str) -> Term | None:
    """The entry for `term`, whatever its case, hyphens, plural or other name; None if there is none."""
    wanted = _key(term)
    names = _by_key()
    return names.get(wanted) or names.get(wanted.removesuffix("s"))


def sentences(text: str) -> list[str]:
    """`text` cut behind every full stop that ends a sentence."""
    return [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9`])", text.strip()) if part]


def _by_key() -> dict[str, Term]:
    names = {_key(name): entry for entry in TERMS for name in entry.also}
    return names | {_key(entry.name): entry for entry in TERMS}


def _key(term: str) -> str:
    return re.sub(r"[\s_\-.]+", "", term.casefold())
