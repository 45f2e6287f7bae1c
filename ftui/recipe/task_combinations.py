"""Tasks that the data names beside an adapter that tells tasks apart: what can't be, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.document import Recipe
from ftui.units import plain

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

TOLD_APART = ("sft", "classify")
"""Objectives that tell the model each row's task."""


def wrong_tasks(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its tasks can't be, as far as it says them itself."""
    sources = recipe.data.sources
    unnamed = [source.path for source in sources if source.task is None]
    if unnamed and len(unnamed) < len(sources):
        yield (f"The data source {plain(unnamed[0])} names no task, and others do.",
               "Write its task, or leave out all of them.")
    options: Any = recipe.adapter
    if not hasattr(options, "tasks"):
        return
    named = tuple(dict.fromkeys(source.task for source in sources if source.task is not None))
    if not any(name.startswith("column:") for name in named):
        yield from miscounted(recipe, named)
    if options.tasks < 2:
        return
    title = ADAPTERS[options.kind].title
    if recipe.objective.kind not in TOLD_APART:
        yield (f"{OBJECTIVES[recipe.objective.kind].title} tells the model no task, and adapter.tasks is "
               f"{options.tasks}.", "Write objective.kind: sft or classify, or adapter.tasks: 1.")
    if recipe.data.packing is True or recipe.data.padding == "free":
        yield (f"{title} mixes by the sequence, and rows of several tasks would stand in one.",
               "Write data.packing: false and data.padding: longest.")
    if isinstance(recipe.data.validation, str) and len(named) > 1:
        yield ("data.validation is a file, and the sources' names don't say which of its rows belong to which task.",
               "Name the tasks by a column that the file has, too (task: column:NAME), or hold rows out: 0.05.")


def miscounted(recipe: Recipe, named: tuple[str, ...]) -> Iterator[Wrong]:
    """What is wrong where the data names the tasks `named`, and the adapter tells another number of them apart."""
    options: Any = recipe.adapter
    if not hasattr(options, "tasks") or options.tasks == max(len(named), 1):
        return
    if not named:
        yield (f"adapter.tasks is {options.tasks}, and no source says which task its rows belong to.",
               "Write each source's task, such as {path: qa.jsonl, task: qa}, or adapter.tasks: 1.")
        return
    listed = ", ".join(map(plain, named[:8])) + (", ..." if len(named) > 8 else "")
    yield (f"The data names {len(named)} task{'s'[: len(named) > 1]} ({listed}), and adapter.tasks is {options.tasks}.",
           f"Write adapter.tasks: {len(named)}.")
