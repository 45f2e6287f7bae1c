"""The command line that stands for a recipe, and back: what `ftui launch` takes is what the wizard shows."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.recipe.document import Recipe

FLAGS = {
    "name": "--name", "model.base": "--model", "compute.max_hours": "--max-hours", "compute.on_end": "--on-end",
}
"""Settings with an option of their own; all others go by --set."""


@dataclass(frozen=True)
class Asked:
    """A recipe as asked for: `text` is its file, verbatim, where nothing was changed on the way."""

    recipe: Recipe
    text: str | None = None
    preset: str | None = None
    said: tuple[str, ...] = ()
    """What each key of another tool's configuration became, where the file was one."""


def ask(
    reference: str | None = None,
    *,
    data: Iterable[str] = (),
    settings: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Asked:
    """The recipe of a preset, of a file or (None) of nothing, with these changes.

    `data` replaces the sources, `settings` are "a.b=c" as behind --set, `flags` dotted paths with values, None left
    out.  Raises BadInput for a name or a value that is none.
    """
    from ftui.recipe import assign, assignments, parse
    from ftui.recipe.presets import preset, preset_names
    from ftui.recipe.text import read
    from ftui.recipe.translation import translated

    text, name = None, None
    said: tuple[str, ...] = ()
    if reference is None:
        recipe = Recipe()
    elif reference not in preset_names() and _is_file(reference):
        if found_elsewhere := translated(reference):
            recipe, said = found_elsewhere.recipe, found_elsewhere.said
        else:
            recipe, text = read(reference), Path(reference).expanduser().read_text(encoding="utf-8-sig")
    else:
        found = preset(reference)
        name, text = found.name, found.path.read_text(encoding="utf-8")
        recipe = parse(text, reference)
    changes: dict[str, Any] = {path: value for path, value in (flags or {}).items() if value is not None}
    if sources := [{"path": path} for path in data]:
        changes["data.sources"] = sources
    changes |= assignments(settings)
    return Asked(assign(recipe, changes), None, name, said) if changes else Asked(recipe, text, name, said)


def launch_command(recipe: Recipe, *, reference: str | None = None) -> str:
    """The `ftui launch` line that makes `recipe` from the preset or file `reference`, or from nothing."""
    return _command("launch", recipe, reference, FLAGS)


def plan_command(recipe: Recipe, *, reference: str | None = None) -> str:
    """The `ftui plan` line that plans `recipe`, which knows fewer options of its own; of a recipe with stages the dry
    run of its launch."""
    if recipe.stages:
        return f"{launch_command(recipe, reference=reference)} --dry-run"
    return _command("plan", recipe, reference, {"model.base": FLAGS["model.base"]})


def _command(verb: str, recipe: Recipe, reference: str | None, flags: Mapping[str, str]) -> str:
    from ftui.recipe import differences, with_kinds_of

    start = ask(reference).recipe
    # Another kind brings defaults of its own, which needn't be said: reading the line starts from them, too.
    anew = with_kinds_of(start, recipe)
    kinds = [difference for difference in differences(start, anew) if difference.path.endswith(".kind")]
    words = ["ftui", verb, *([reference] if reference else [])]
    for difference in (*kinds, *differences(anew, recipe)):
        path, value = difference.path, difference.after
        if path == "data.sources":
            words += _sources(value)
        elif path in flags and isinstance(value, (str, float, int)) and value != "":
            words += [flags[path], _text(value)]
        elif value is not None or difference.before is not None:
            words += ["--set", f"{path}={_text(value)}"]
    return shlex.join(words)


def _sources(sources: list[dict[str, Any]]) -> list[str]:
    """Each source by --data, what else it sets by --set."""
    from ftui.recipe.document import DataSource

    words = [word for source in sources for word in ("--data", source["path"])]
    for index, source in enumerate(sources):
        plain = DataSource(path=source["path"]).model_dump()
        words += [
            word
            for name, value in source.items()
            if value != plain[name]
            for word in ("--set", f"data.sources.{index}.{name}={_text(value)}")
        ]
    return words


def _text(value: Any) -> str:
    """A value as --set reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_file(reference: str) -> bool:
    return reference.endswith((".yaml", ".yml", ".json")) or "/" in reference or os.path.lexists(
        os.path.expanduser(reference)
    )
