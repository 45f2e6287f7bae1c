"""Dotted paths into a recipe: read one, set some, forget some, compare two.  Every edit gives a new, checked recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from ftui.errors import BadInput
from ftui.recipe.check import BadRecipe, Problem, build
from ftui.recipe.declaration import UNIONS, Setting, source_settings, walk, walk_all
from ftui.recipe.document import Recipe
from ftui.recipe.names import meant


@dataclass(frozen=True)
class Difference:
    """A setting that two recipes hold differently; None on the side whose objective or adapter lacks it."""

    path: str
    before: Any
    after: Any


def get(recipe: Recipe, path: str) -> Any:
    """The value at the dotted `path`, such as `train.epochs` or `data.sources.0.path`; BadInput if there is none."""
    value: Any = recipe
    for part in path.split("."):
        if isinstance(value, BaseModel) and part in type(value).model_fields:
            value = getattr(value, part)
        elif isinstance(value, tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise BadRecipe((Problem(path, f"is no key of ftui's; {meant(path, _paths(recipe))}"),), "The recipe")
    return value


def asked(recipe: Recipe) -> frozenset[str]:
    """The dotted paths that were set explicitly (in a file, a preset or by `assign`), in no order."""
    found: set[str] = set()
    for name in recipe.model_fields_set - {"version"}:
        value = getattr(recipe, name)
        found |= {f"{name}.{inner}" for inner in value.model_fields_set} if isinstance(value, BaseModel) else {name}
    return frozenset(found)


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """`["train.epochs=3", ...]` as `--set` gives them, as a mapping; BadInput where one has no `=`."""
    found: dict[str, str] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise BadInput(f"--set {text}: this sets nothing.", "Write it as section.setting=value: train.epochs=3.")
        found[path.strip()] = value
    return found


def assign(recipe: Recipe, values: Mapping[str, Any], where: str = "The recipe") -> Recipe:
    """`recipe` with these values set: dotted path -> value, or its text as written behind `--set`.

    Lists take commas (prompts: lines); a change of `adapter.kind` or `objective.kind` starts that section afresh;
    `data.sources` takes plain paths.  Raises BadRecipe with every problem; the given recipe is never touched.
    """
    raw = recipe.model_dump(exclude_unset=True)
    kinds = {section: f"{section}.kind" for section in UNIONS}
    for section, path in kinds.items():
        if path in values and values[path] != getattr(recipe, section).kind:
            raw[section] = {"kind": values[path]}
        elif section in raw:
            raw[section] = {"kind": getattr(recipe, section).kind, **raw[section]}
    settings = {entry.path: entry for entry in (*walk_all(), *source_settings())}
    problems: list[Problem] = []
    for path, value in values.items():
        pattern = ".".join("[]" if part.isdecimal() else part for part in path.split(".")).replace(".[]", "[]")
        entry = settings.get(pattern)
        try:
            _put(raw, path.split("."), from_text(entry, value) if entry and isinstance(value, str) else value)
        except LookupError:
            problems.append(Problem(path, f"is no key of ftui's; {meant(path, _paths(recipe))}"))
    if problems:
        raise BadRecipe(tuple(problems), where)
    return build(raw, where)


def forget(recipe: Recipe, *paths: str) -> Recipe:
    """`recipe` with these settings back at their defaults, and no longer among those `asked` for.

    With a kind of objective or adapter its own settings go, too, where the default kind has none of that name.
    """
    raw = recipe.model_dump(exclude_unset=True)
    for path in paths:
        section, _, name = path.rpartition(".")
        holder = raw.get(section) if section else raw
        if isinstance(holder, dict):
            holder.pop(name, None)
    for section, members in UNIONS.items():
        if section in raw and f"{section}.kind" not in paths:
            raw[section] = {"kind": getattr(recipe, section).kind, **raw[section]}
        elif section in raw:
            usual = members[getattr(Recipe(), section).kind].model_fields
            raw[section] = {name: value for name, value in raw[section].items() if name in usual}
            if not raw[section]:
                del raw[section]
    return build(raw)


def with_kinds_of(recipe: Recipe, other: Recipe) -> Recipe:
    """`recipe` with the objective and adapter of `other`, each with its own defaults where it was another.

    What `other` sets beyond these kinds is what differs from this; the defaults that they bring don't.
    """
    kinds = {f"{section}.kind": getattr(other, section).kind for section in UNIONS}
    changed = {path: kind for path, kind in kinds.items() if kind != get(recipe, path)}
    return assign(recipe, changed) if changed else recipe


def differences(before: Recipe, after: Recipe) -> tuple[Difference, ...]:
    """Every setting in which the two differ, in the recipe's order."""
    paths = dict.fromkeys(entry.path for entry in (*walk(before), *walk(after)))
    pairs = ((path, _or_none(before, path), _or_none(after, path)) for path in paths)
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def _or_none(recipe: Recipe, path: str) -> Any:
    try:
        value = get(recipe, path)
    except BadRecipe:
        return None
    if isinstance(value, tuple):
        return [entry.model_dump() if isinstance(entry, BaseModel) else entry for entry in value]
    return value


def _paths(recipe: Recipe) -> list[str]:
    return [entry.path for entry in walk(recipe)]


def _put(raw: dict[str, Any], parts: list[str], value: Any) -> None:
    """Set the value at `parts`, making sections on the way; LookupError for a list entry that isn't there."""
    holder: Any = raw
    for part, following in pairwise(parts):
        if isinstance(holder, list):
            at = int(part) if part.isdecimal() else len(holder)
            if isinstance(holder[at], str):
                holder[at] = {"path": holder[at]}
            holder = holder[at]
            continue
        below = holder.setdefault(part, [] if following.isdecimal() else {})
        if isinstance(below, tuple):
            below = holder[part] = list(below)
        if not isinstance(below, dict | list):
            raise LookupError(part)
        holder = below
    if isinstance(holder, list):
        holder[int(parts[-1]) if parts[-1].isdecimal() else len(holder)] = value
    else:
        holder[parts[-1]] = value


def from_text(entry: Setting, text: str) -> Any:
    """What a person means who writes `text` for this setting, on a command line or in a form; unchecked."""
    stripped = text.strip()
    if entry.nullable and stripped.lower() in ("", "null", "none", "~"):
        return None
    if entry.kind in ("text", "choice") and entry.path != "data.validation":
        return text if entry.kind == "text" else stripped
    if entry.kind == "list":
        return _list_from_text(entry, stripped)
    if entry.kind == "mapping" and not stripped:
        return {}
    return _scalar(stripped)


def _list_from_text(entry: Setting, text: str) -> Any:
    from ftui.recipe.text import load

    if text.startswith(("[", "{")):
        return load(text, entry.path)[0]
    if not text:
        return []
    parts = [part.strip() for part in text.split(entry.separator) if part.strip()]
    return parts[0] if len(parts) == 1 and entry.path == "adapter.targets" else parts


def _scalar(text: str) -> Any:
    """A YAML scalar's value; what isn't one stays the text it is, to be complained about by name."""
    from ftui.recipe.text import load

    try:
        return load(text, "value")[0]
    except BadInput:
        return text
