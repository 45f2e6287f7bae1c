"""The one document a run is made from: Recipe, YAML, JSON Schema, preset lookup."""

from __future__ import annotations

from ftui.recipe.check import BadRecipe, Problem, build
from ftui.recipe.declaration import Setting, json_schema, sections, source_settings, walk, walk_all
from ftui.recipe.document import DataSource, Recipe
from ftui.recipe.edit import Difference, asked, assign, assignments, differences, forget, from_text, get
from ftui.recipe.text import parse, read, write

__all__ = [
    "BadRecipe", "DataSource", "Difference", "Problem", "Recipe", "Setting", "asked", "assign", "assignments", "build",
    "differences", "forget", "from_text", "get", "json_schema", "parse", "read", "sections", "source_settings", "walk",
    "walk_all", "write",
]
