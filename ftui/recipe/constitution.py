"""A constitution: the principles by which a model criticises its own answers and writes them anew.

A YAML list of {name, critique, revise}; `constitution.yaml` beside this module is the one taken where none is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftui.documents import Document
from ftui.errors import BadInput
from ftui.recipe.names import nearest
from ftui.recipe.text import load, read_text

DEFAULT = Path(__file__).with_name("constitution.yaml")
PARTS = ("name", "critique", "revise")
MOST_PRINCIPLES = 200
_EXAMPLE = "One looks like: - {name: honest, critique: Name what is wrong., revise: Rewrite it so that it is true.}"


class Principle(Document):
    """`critique` asks what is wrong with the assistant's last answer, `revise` for a better one."""

    name: str
    critique: str
    revise: str


def read(path: Path | str | None = None) -> tuple[Principle, ...]:
    """The principles in the file `path`, those of the default constitution for None; BadInput where there are none."""
    path = DEFAULT if path is None else Path(path)
    text = read_text(path, "constitution", f"The one that ships with ftui is a start: {DEFAULT}")
    return parse(text, str(path))


def parse(text: str, where: str = "The constitution") -> tuple[Principle, ...]:
    """The principles in a YAML text; BadInput, in one sentence with the line, where it can't be used."""
    values, lines = load(text, where, "constitution")
    if not isinstance(values, list) or not values:
        found = "is empty" if values is None or values == [] else "is no list of principles"
        raise BadInput(f"{where} {found}.", _EXAMPLE)
    if len(values) > MOST_PRINCIPLES:
        raise BadInput(f"{where} has {len(values)} principles, more than {MOST_PRINCIPLES}.", "Keep those that matter.")
    principles: dict[str, Principle] = {}
    for index, value in enumerate(values):
        at = f"{where}, line {lines[f'.{index}']}"
        principle = _principle(value, at)
        if principle.name in principles:
            raise BadInput(f"{at}: the name {principle.name!r} is there twice.", "Give each principle its own name.")
        principles[principle.name] = principle
    return tuple(principles.values())


def _principle(value: Any, where: str) -> Principle:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: a principle has the keys {', '.join(PARTS)}.", _EXAMPLE)
    for key in value:
        if key not in PARTS:
            near = nearest(key, PARTS)
            raise BadInput(f"{where}: a principle has no {key!r}.",
                           f"Did you mean {near}?" if near else f"Its keys are {', '.join(PARTS)}.")
    for part in PARTS:
        if part not in value:
            raise BadInput(f"{where}: the principle has no {part}.", _EXAMPLE)
        if not isinstance(value[part], str) or not value[part].strip():
            raise BadInput(f"{where}: {part} must be a text, and not an empty one.", "Put it in quotes.")
    return Principle(**{part: value[part].strip() for part in PARTS})
