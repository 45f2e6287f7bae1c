"""A function of the user's own as a reward; imported here, in the worker, and nowhere else."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ftui.errors import BadInput
from ftui.worker.rewards import Columns, Place, Score

OWN = ("completions", "columns")
"""What a function is always offered beside the rows' columns, by these names."""


def build(argument: str, place: Place) -> Score:
    """`argument` is module:function or file.py:function.

    It is called with `completions` (texts) and those of the columns that its signature names: `answer`, `prompt`,
    `tokens`, ..., each a list as long; with ** it gets all of them, with `columns` their mapping.
    """
    return _called(load_function(argument, "objective.rewards"), argument)


def load_function(argument: str, setting: str) -> Callable[..., Any]:
    """The function that `argument` of `setting` names; BadInput where it can't be had."""
    module, _, name = argument.rpartition(":")
    function = getattr(_module(module, argument, setting), name, None)
    if not callable(function):
        raise BadInput(f"{setting}: {module} has no function {name}.", "Write module:function.")
    found: Callable[..., Any] = function
    return found


def _module(name: str, argument: str, setting: str) -> ModuleType:
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        file = Path(name).expanduser()
        if not file.is_file():
            raise BadInput(f"{setting}: there is no file {file.absolute()}.", "Give its whole path.")
        spec = importlib.util.spec_from_file_location(f"ftui_reward_{file.stem}", file)
        # A file's name that ends in .py always has both.
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except BadInput:
        raise
    except Exception as error:  # a user's module may fail in any way, and its name belongs into the sentence
        raise BadInput(f"{setting}: {argument} can't be imported: {type(error).__name__}: {error}.",
                       "Install the module where ftui is, or write file.py:function.") from error  # fmt: skip


def _called(function: Callable[..., Any], argument: str) -> Score:
    parameters = inspect.signature(function).parameters.values()
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
    named = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    needed = {one.name for one in parameters if one.name in named and one.default is one.empty}

    def score(completions: Sequence[str], columns: Columns) -> list[float | None]:
        given = {**columns, "completions": list(completions), "columns": columns}
        if missing := needed - set(given):
            raise BadInput(f"The reward {argument} asks for {', '.join(sorted(missing))}, which the rows lack.",
                           f"They have: {', '.join(sorted(set(given) - set(OWN)))}.")  # fmt: skip
        wanted = {name for name in given if name in named or (takes_all and name != "columns")}
        return list(function(**{name: given[name] for name in wanted}))

    return score
