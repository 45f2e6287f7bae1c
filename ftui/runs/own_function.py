"""Whether the worker will find a function of the user's own, `module:function` or `file.py:function`.

The user's code is read, never run: the app and the command line must not be taken down by it, and must not wait for
what it imports.  So only what the source says for certain is refused.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

Wrong = tuple[str, str]
"""What the worker would stumble over, and what to write."""

_TRIED = (ast.If, ast.Try, ast.TryStar, ast.With, ast.For, ast.While)
"""Statements whose bodies stand in the module's own scope."""


def wrong_function(reference: str) -> Wrong | None:
    """What is wrong with `reference`, as far as its source can tell without being run; None where nothing is."""
    module, _, name = reference.rpartition(":")
    if module.endswith(".py"):
        file = Path(module).expanduser()
        if not file.is_file():
            return f"There is no file {file.absolute()}.", "Give its whole path."
    else:
        found = _found(module)
        if isinstance(found, str):
            return f"There is no module {found} where the worker looks.", _instead(module, name)
        if found is None or not (found.origin or "").endswith(".py"):
            # Compiled, or of a kind that only its import could tell.
            return None
        file = Path(str(found.origin))
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except OSError as error:
        return f"{file} can't be read: {error.strerror}.", "Check its permissions."
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        return f"{file} is no Python that can be read{line}: {said}.", "Correct it."
    if absent := next((each for each in _imported(tree) if isinstance(_found(each), str)), None):
        return (f"{file} imports {absent}, which the worker would not find.",
                f"Install {absent.partition('.')[0]} where ftui is, or put its folder into PYTHONPATH.")  # fmt: skip
    names = set(_names(tree.body))
    if name in names or not names.isdisjoint(("*", "__getattr__")) or _binds_by_running(tree):
        return None
    functions = [each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name[0] != "_"]
    there = f"It has {', '.join(functions[:5])}." if functions else "Name a function that stands in it."
    return f"{module} has no function {name}.", there


def _found(module: str) -> ModuleSpec | str | None:
    """Where `module` is, without importing it or what it lies in; the part of its name that is nowhere; None where
    that can't be told."""
    places, known = _places(), ""
    spec: ModuleSpec | None = None
    for part in module.split("."):
        known = f"{known}.{part}" if known else part
        try:
            spec = _spec(known, places)
        except (ImportError, AttributeError, KeyError, ValueError, TypeError):
            # A package that is put together as it is imported: a namespace below another, a finder of its own.
            return None
        if spec is None:
            return known
        if spec.submodule_search_locations is None:
            # What a plain module holds under a dotted name, such as os.path, is its own affair.
            return spec if known == module else None
        places = list(spec.submodule_search_locations)
    if spec is not None and spec.origin is None:
        return None
    return spec


def _spec(name: str, places: list[str]) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is importlib.machinery.PathFinder:
            found = importlib.machinery.PathFinder.find_spec(name, places)
        else:
            found = finder.find_spec(name, places if "." in name else None)
        if found is not None:
            return found
    return None


def _places() -> list[str]:
    """The folders in which the worker looks: ours, less the one that Python adds for where or how we were started."""
    own = {"", os.getcwd(), str(Path(sys.argv[0]).absolute().parent)}
    kept = {str(Path(place).absolute()) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place}
    return [place for place in sys.path if place not in own or place in kept]


def _instead(module: str, name: str) -> str:
    """How to name a module that lies in the working folder, from which the worker is not started."""
    beside = Path(*module.split(".")).with_suffix(".py")
    if beside.is_file():
        return f"The worker is not started in this folder: write {beside}:{name}."
    return "Install it where ftui is, or write file.py:function."


def _imported(tree: ast.Module) -> Iterator[str]:
    """Modules that the source needs whatever happens: imported at its top, not inside a condition or a try."""
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module


def _names(body: list[ast.stmt]) -> Iterator[str]:
    """Every name that a module's own scope binds; "*" where it takes whatever another one has."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name
            case ast.Import() | ast.ImportFrom():
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in statement.names)
            case ast.Assign():
                yield from (node.id for target in statement.targets for node in ast.walk(target)
                            if isinstance(node, ast.Name))  # fmt: skip
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case _ if isinstance(statement, _TRIED):
                for field in ("body", "orelse", "finalbody"):
                    yield from _names(getattr(statement, field, []))
                for handler in getattr(statement, "handlers", []):
                    yield from _names(handler.body)
            case _:
                pass


def _binds_by_running(tree: ast.Module) -> bool:
    """Whether only running the source could tell which names it binds."""
    return any(isinstance(node, ast.Name) and node.id in ("globals", "exec") for node in ast.walk(tree))
