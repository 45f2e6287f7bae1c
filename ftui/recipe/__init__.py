"""The one document a run is made from: Recipe, YAML, JSON Schema, preset lookup."""

from __future__ import annotations

from ftui.recipe.check import BadRecipe, Problem, build
from ftui.recipe.declaration import Setting, json_schema, sections, source_settings, walk, walk_all
from ftui.recipe.document import DataSource, Recipe
from ftui.recipe.edit import Difference, asked, assign, assignments, differences, forget, from_text, get, with_kinds_of
from ftui.recipe.presets import Preset, demo_recipe, find, preset, preset_names, presets
from ftui.recipe.text import parse, read, write

__all__ = [
    "BadRecipe", "DataSource", "Difference", "Preset", "Problem", "Recipe", "Setting", "asked", "assign", "assignments",
    "build", "demo_recipe", "differences", "find", "forget", "from_text", "get", "json_schema", "parse", "preset",
    "preset_names", "presets", "read", "sections", "source_settings", "walk", "walk_all", "with_kinds_of", "write",
]
