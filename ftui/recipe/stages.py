"""A recipe's stages: each a recipe of its own that takes from the one above what it leaves out, and says whence it
starts.  Where its tasks train apart, each of them is such a stage, from the base model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from ftui.methods import ADAPTERS, OBJECTIVES, LoraOptions
from ftui.methods.lora import unmergeable
from ftui.recipe.check import BadRecipe, Problem, build
from ftui.recipe.declaration import UNIONS, sections
from ftui.recipe.document import Recipe
from ftui.recipe.names import nearest
from ftui.recipe.start_combinations import TRAINING, wrong_start

Start = Literal["base", "adapter", "merged"]
"""The base model; an earlier stage's adapter, trained on; its adapter merged into its base, or its whole model."""

STARTS: tuple[Start, ...] = ("base", "adapter", "merged")
OWN = ("name", "from", "after")
"""What a stage says besides the sections of a recipe."""
STAGE = "stage:"
"""Before a stage's name where a result stands that there isn't yet."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_UNNAMED = re.compile(r"[^A-Za-z0-9_-]+")
"""What of a task's name can't stand in a stage's."""
_REWARD = re.compile(r"(\s*(?:[-+]?[\d.eE+-]+\s*\*\s*)?)stage:(.*)", re.DOTALL)


@dataclass(frozen=True)
class Stage:
    """One stage: its whole recipe, and from the result of which stage it starts (None for the base model)."""

    name: str
    recipe: Recipe
    start: Start
    after: int | None
    rewards: tuple[int, ...] = ()
    """The stages whose reward models score its answers."""


def stages_of(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages of `recipe`, in order; BadRecipe with every problem of the first stage that has some."""
    found: list[Stage] = []
    for number, written in enumerate(_by_task(recipe) if recipe.data.tasks == "apart" else recipe.stages):
        found.append(_stage(recipe, number, written, found))
    return tuple(found)


def has_stages(recipe: Recipe) -> bool:
    """Whether `recipe` means several trainings, each a run of its own."""
    return bool(recipe.stages) or recipe.data.tasks == "apart"


def _by_task(recipe: Recipe) -> list[dict[str, object]]:
    """A stage for each task, with the sources that name it and what a stage of that name says besides."""
    given = recipe.model_dump(exclude_unset=True).get("data", {}).get("sources", ())
    tasks: dict[str, list[dict[str, object]]] = {}
    for name, source in zip(_names(recipe), given, strict=True):
        tasks.setdefault(name, []).append(source)
    if isinstance(recipe.data.validation, str) and len(tasks) > 1:
        raise _refused("data.validation", "is one file for tasks that train apart; write a share such as 0.05, or a "
                       "file in a stage of the task's name")
    for number, stage in enumerate(recipe.stages if tasks else ()):
        if stage.get("name") not in tasks or stage.keys() & {"from", "after"}:
            raise _refused(f"stages.{number}", "data.tasks is apart, so that a stage says what one task has of its "
                           f"own, under its name: {', '.join(tasks)}")
    return [_for_task(name, sources, recipe) for name, sources in tasks.items()]


def _names(recipe: Recipe) -> list[str]:
    """Each source's task as a stage can be called; where no source names one, each is one, called as its file is."""
    sources, found = recipe.data.sources, list[str]()
    named = any(source.task is not None for source in sources)
    for number, source in enumerate(sources):
        where, task = f"data.sources.{number}.task", source.task if named else PurePath(source.path).stem
        if task is None:
            raise _refused(where, "is missing, and other sources name theirs; write the name of its task")
        if task.startswith("column:"):
            raise _refused(where, "names a column, and which tasks there are is known only when it is read; write a "
                           "file for each task, with its name")
        name = _UNNAMED.sub("-", task).strip("-_")
        if not name:
            raise _refused(where, "is a name without letters or digits, which no run can have")
        if not named and name in found:
            raise _refused(where, f"is missing, and two sources are called {name}; write each one's")
        found.append(name)
    return found


def _refused(path: str, reason: str) -> BadRecipe:
    return BadRecipe((Problem(path, reason),), "The recipe")


def _for_task(name: str, sources: list[dict[str, object]], recipe: Recipe) -> dict[str, object]:
    own = next((stage for stage in recipe.stages if stage["name"] == name), {})
    data: Any = own.get("data", {})
    return {**own, "name": name, "from": "base", "data": {"tasks": "together", "sources": sources, **data}}


def _stage(recipe: Recipe, number: int, written: Mapping[str, object], before: list[Stage]) -> Stage:
    where = f"stages.{number}"
    if problems := tuple(_misnamed(where, written, before)):
        raise BadRecipe(problems, "The recipe")
    name = str(written["name"])
    try:
        raw, rewards = _scored(_merged(recipe, written, name), where, before)
        whole = build(raw, f"The stage {name}")
    except BadRecipe as error:
        raise BadRecipe(tuple(Problem(f"{where}.{p.path}".rstrip("."), p.reason) for p in error.problems),
                        "The recipe") from None  # fmt: skip
    after = _after(where, written, before)
    start = _start(where, written, whole, None if after is None else before[after])
    return Stage(name, whole, start, None if start == "base" else after, rewards)


def _misnamed(where: str, written: Mapping[str, object], before: list[Stage]) -> Iterator[Problem]:
    """What is wrong with a stage's name and keys."""
    name = written.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield Problem(f"{where}.name", "a stage needs a name of letters, digits, - and _, such as sft")
    elif name in [stage.name for stage in before]:
        yield Problem(f"{where}.name", f"{name} is an earlier stage's name; give each its own")
    for key in written:
        if key not in (*OWN, *sections()):
            near = nearest(str(key), [*OWN, *sections()])
            meant = f"; the nearest is {near}" if near else ""
            yield Problem(f"{where}.{key}", f"is neither a section nor one of {', '.join(OWN)}{meant}")


def _merged(recipe: Recipe, written: Mapping[str, object], name: str) -> dict[str, Any]:
    """The raw values of a stage: those of the recipe above, section by section under its own; another kind of
    objective or adapter begins afresh."""
    raw = recipe.model_dump(exclude_unset=True)
    raw.pop("stages", None)
    for section in UNIONS:
        if section in raw:
            raw[section] = {"kind": getattr(recipe, section).kind, **raw[section]}
    for section, own in written.items():
        if section in OWN:
            continue
        if isinstance(own, str) and section in UNIONS:
            own = {"kind": own}
        above = raw.get(section, {})
        afresh = section in UNIONS and isinstance(own, Mapping) and own.get("kind") not in (
            None, getattr(recipe, section).kind
        )
        raw[section] = {**({} if afresh else above), **own} if isinstance(own, Mapping) else own
    return {**raw, "name": f"{recipe.name}-{name}"}


def _scored(raw: dict[str, Any], where: str, before: list[Stage]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """`raw` with each reward stage:NAME as the model that it will be, and the numbers of those stages."""
    objective, numbers = raw.get("objective"), []
    rewards = objective.get("rewards") if isinstance(objective, Mapping) else None
    if isinstance(rewards, str):
        rewards = [rewards]
    if not isinstance(rewards, list | tuple):
        return raw, ()
    texts = []
    for text in rewards:
        if not (found := _REWARD.fullmatch(str(text))):
            texts.append(text)
            continue
        names = [stage.name for stage in before if stage.recipe.objective.kind == "reward"]
        if found[2].strip() not in names:
            known = f"write one of {', '.join(names)}" if names else "write a stage with objective: reward before it"
            raise BadRecipe((Problem("objective.rewards", f"{text} names no earlier reward stage; {known}"),), where)
        numbers.append([stage.name for stage in before].index(found[2].strip()))
        texts.append(f"{found[1]}model:{STAGE}{found[2].strip()}")
    return {**raw, "objective": {**raw["objective"], "rewards": texts}}, tuple(numbers)


def _after(where: str, written: Mapping[str, object], before: list[Stage]) -> int | None:
    """The stage that this one follows: the named one, else the last that leaves a model of words."""
    names = [stage.name for stage in before]
    if (wanted := written.get("after")) is not None:
        if wanted not in names:
            raise BadRecipe((Problem(f"{where}.after", f"{wanted} is no earlier stage" + (
                f"; write one of {', '.join(names)}" if names else ", for there is none")),), "The recipe")
        return names.index(str(wanted))
    words = [number for number, stage in enumerate(before) if _head(stage.recipe) == "words"]
    return words[-1] if words else None


def _start(where: str, written: Mapping[str, object], recipe: Recipe, last: Stage | None) -> Start:
    """Whence a stage starts: as it says, else by what can be; BadRecipe for what can't."""
    wanted = written.get("from")
    if wanted is not None and wanted not in STARTS:
        raise BadRecipe((Problem(f"{where}.from", f"{wanted} is none of {', '.join(STARTS)}"),), "The recipe")
    if wanted == "base" or (last is None and wanted is None):
        return "base"
    if last is None:
        raise BadRecipe((Problem(f"{where}.from", "there is no stage before it with a model of words; write from: base"
                                 ),), "The recipe")  # fmt: skip
    why = {"adapter": _no_adapter(recipe, last), "merged": _no_model(last)}
    if wanted is None:
        wanted = next((start for start in ("adapter", "merged") if why[start] is None), "adapter")
    if reason := why[str(wanted)] or _elsewhere(recipe, last):
        raise BadRecipe((Problem(f"{where}.from", reason),), "The recipe")
    return "adapter" if wanted == "adapter" else "merged"


def _no_adapter(recipe: Recipe, last: Stage) -> str | None:
    """Why the adapter of `last` can't be trained on as `recipe` says; None where it can."""
    own, other = recipe.adapter, last.recipe.adapter
    otherwise = "write from: merged, or from: base"
    if ADAPTERS[other.kind].saved == "model":
        return f"{last.name} leaves a whole model and no adapter; {otherwise}"
    if _head(last.recipe) == "scores":
        return f"{last.name} leaves a model that gives scores; write from: base, or name another stage as after"
    if own.kind != other.kind:
        return f"{last.name} leaves an adapter {other.kind}, and this stage trains {own.kind}; {otherwise}"
    apart = [
        name for name in type(own).model_fields
        if name not in TRAINING and getattr(own, name) not in ("auto", getattr(other, name))
    ]
    if apart:
        return f"adapter.{apart[0]} is another than that of {last.name}, whose adapter it would train on; {otherwise}"
    plain = own.model_copy(update={"start_from": STAGE, **({"init": "default"} if own.kind == "lora" else {})})
    refused = next(wrong_start(recipe.model_copy(update={"adapter": plain})), None)
    return f"{refused[0].rstrip('.')}; {otherwise}" if refused else None


def _no_model(last: Stage) -> str | None:
    """Why the result of `last` can't become one model with its base; None where it can, or is one."""
    row, options = ADAPTERS[last.recipe.adapter.kind], last.recipe.adapter
    if _head(last.recipe) == "scores":
        return f"{last.name} leaves a model that gives scores; write from: base, or name another stage as after"
    if row.saved == "model":
        return None
    reason = unmergeable(options) if isinstance(options, LoraOptions) else None
    if not row.mergeable or reason:
        return (f"the adapter of {last.name} ({row.title}) can't be merged"
                + (f": {reason}" if reason else "") + "; write from: adapter, or from: base")
    return None


def _elsewhere(recipe: Recipe, last: Stage) -> str | None:
    if recipe.model.base == last.recipe.model.base:
        return None
    return f"{last.name} has another base model ({last.recipe.model.base}); leave out model.base, or write from: base"


def _head(recipe: Recipe) -> str:
    return OBJECTIVES[recipe.objective.kind].head
