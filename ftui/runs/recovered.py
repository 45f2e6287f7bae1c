"""The recipe that a run trains by now: what it was launched with, and what had to be changed since memory ran out."""

from __future__ import annotations

from collections.abc import Iterable

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.document import Event


def recovered(recipe: Recipe, events: Iterable[Event]) -> Recipe:
    """`recipe` with what earlier attempts had to change: they would run out of memory again."""
    for event in events:
        if event.kind == "recovery" and event.data.get("change"):
            recipe = assign(recipe, event.data["change"])
    return recipe
