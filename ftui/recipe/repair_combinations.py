"""Repairs of the data that aren't ones, found as soon as the recipe is read."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.errors import BadInput
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""


def wrong_repairs(recipe: Recipe) -> Iterator[Wrong]:
    """Every entry of `data.prepare` with an unknown name, an unknown option or a value that doesn't fit."""
    if not recipe.data.prepare:
        return
    from ftui.data.repairs import parse

    for entry in recipe.data.prepare:
        try:
            parse((entry,))
        except BadInput as error:
            yield error.what, error.hint or ""
