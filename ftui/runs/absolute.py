"""A recipe with every file of this disk by its absolute path: the worker's folder is another."""

from __future__ import annotations

import os
from pathlib import Path

from ftui.methods.judges import with_paths as judge_with_paths
from ftui.methods.rewards import with_paths
from ftui.recipe.document import DataSource, Recipe
from ftui.recipe.webhooks import FILE

NAMED = frozenset({"demo", "auto"})
"""Values that name something of ftui's own, even where a file of that name lies about."""


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """`recipe` with every file that exists here named absolutely: the worker's folder is another."""
    sources = tuple(_source(source) for source in recipe.data.sources)
    data: dict[str, object] = {"sources": sources} if sources != recipe.data.sources else {}
    for name in ("template", "validation"):
        value = getattr(recipe.data, name)
        if isinstance(value, str) and _absolute(value) != value:
            data[name] = _absolute(value)
    if recipe.data.prepare:
        from ftui.data.repairs import with_files

        data["prepare"] = tuple(with_files(entry, _absolute) for entry in recipe.data.prepare)
    changed: dict[str, object] = {"data": recipe.data.model_copy(update=data)} if data else {}
    if recipe.continual.remember and (old := _absolute(recipe.continual.remember)) != recipe.continual.remember:
        changed["continual"] = recipe.continual.model_copy(update={"remember": old})
    if (base := _absolute(recipe.model.base)) != recipe.model.base:
        changed["model"] = recipe.model.model_copy(update={"base": base})
    if (webhook := recipe.compute.webhook) and webhook.startswith(FILE):
        path = f"{FILE}{_absolute(webhook.removeprefix(FILE).strip())}"
        changed["compute"] = recipe.compute.model_copy(update={"webhook": path})
    if objective := _objective(recipe):
        changed["objective"] = recipe.objective.model_copy(update=objective)
    return recipe.model_copy(update=changed) if changed else recipe


def _objective(recipe: Recipe) -> dict[str, object]:
    """What an objective names on this disk, absolutely, where it doesn't yet: rewards, judges, a teacher."""
    objective = recipe.objective
    rewards, teacher = getattr(objective, "rewards", ()), getattr(objective, "teacher", "")
    absolute = {
        "rewards": tuple(with_paths(text, _absolute) for text in rewards), "teacher": _absolute(teacher),
        "judge": tuple(judge_with_paths(text, _absolute) for text in getattr(objective, "judge", ())),
    }
    return {name: value for name, value in absolute.items() if value != getattr(objective, name, value)}


def _source(source: DataSource) -> DataSource:
    from ftui.data.folders import is_pattern
    from ftui.data.own_loader import is_loader

    own = os.path.expanduser(source.path)
    path = os.path.abspath(own) if is_pattern(own) or (is_loader(own) and ".py:" in own) else _absolute(source.path)
    return source if path == source.path else source.model_copy(update={"path": path})


def _absolute(path: str) -> str:
    if not path or path in NAMED:
        return path
    try:
        found = Path(path).expanduser().absolute()
        if not found.exists():
            return path
        # Without its dots, unless a link on the way makes them mean another place.
        short = Path(os.path.normpath(found))
        return str(short if short.exists() and short.samefile(found) else found)
    except (OSError, RuntimeError, ValueError):
        # No path at all: a template's text, a name that no filesystem takes.
        return path
