"""The recipes that ship with ftui, each a YAML file under a header of comments in a fixed layout.

The header's first line is the title; `For:`, `Needs:`, `Costs:` and `Run:` follow, each going on over indented lines.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ftui
from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.recipe.names import nearest
from ftui.recipe.text import parse, read

FOLDER = Path(ftui.__file__).parent / "presets"
DEMO = "cpu-demo"
"""The preset that names its own data, and the embedded model."""

_KEYS = {"For": "purpose", "Needs": "needs", "Costs": "cost", "Run": "command"}


@dataclass(frozen=True)
class Preset:
    """A recipe with a name and the words of its header; `command` is the exact line that launches it."""

    name: str
    path: Path
    title: str
    purpose: str
    needs: str
    cost: str
    command: str
    recipe: Recipe


@cache
def preset_names() -> tuple[str, ...]:
    """The presets' names, in order, without reading any of them."""
    return tuple(sorted((path.stem for path in FOLDER.glob("*.yaml")), key=_order))


@cache
def presets() -> tuple[Preset, ...]:
    """Every preset that ships with ftui: the demo last, the others by name."""
    return tuple(preset(name) for name in preset_names())


def preset(name: str) -> Preset:
    """The preset called `name`; BadInput with the nearest name otherwise."""
    if (stem := name.removesuffix(".yaml")) in preset_names():
        return _preset(FOLDER / f"{stem}.yaml")
    near = nearest(name, preset_names(), 0.5)
    raise BadInput(
        f"There is no preset {name!r}.",
        f"Did you mean {near}?" if near else f"There are {', '.join(preset_names())}.",
    )


def find(reference: str) -> Recipe:
    """The recipe of a preset's name or of a YAML file, whichever `reference` names."""
    if reference in preset_names():
        return preset(reference).recipe
    if reference.endswith((".yaml", ".yml", ".json")) or "/" in reference or os.path.lexists(
        os.path.expanduser(reference)
    ):
        return read(reference)
    return preset(reference).recipe


def demo_recipe() -> Recipe:
    """The recipe of `ftui demo`: the embedded model and data, on any machine."""
    return preset(DEMO).recipe


def _order(name: str) -> tuple[bool, list[tuple[int, str]]]:
    """The demo last, the others by name with its numbers as numbers, so that 8 GiB stand before 16."""
    parts = re.findall(r"\d+|\D+", name)
    return name == DEMO, [(int(part), "") if part.isdigit() else (0, part) for part in parts]


@cache
def _preset(path: Path) -> Preset:
    text = path.read_text(encoding="utf-8")
    words = header(text)
    missing = [key for key, field in _KEYS.items() if field not in words]
    if missing or "title" not in words:
        raise BadInput(f"{path} has no header line {', '.join(missing) or 'with a title'}.")
    return Preset(name=path.stem, path=path, recipe=parse(text, str(path)), **words)


def header(text: str) -> dict[str, str]:
    """What the comments at the top of a preset say: title, purpose, needs, cost, command (those that are there)."""
    found: dict[str, str] = {}
    current: str | None = None
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        content = line[1:]
        if not content.strip():
            continue
        match = re.match(r" (\w+): +(.*)", content)
        if match and match[1] in _KEYS:
            current = _KEYS[match[1]]
            found[current] = match[2].strip()
        elif current and content.startswith("   "):
            found[current] += f" {content.strip()}"
        elif "title" not in found:
            found["title"] = content.strip()
    return found
