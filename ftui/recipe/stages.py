"""A recipe's stages: each a recipe of its own that takes from the one above what it leaves out, and says whence it
starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    for number, written in enumerate(recipe.stages):
        found.append(_stage(recipe, number, written, found))
    return tuple(found)


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
    del raw["stages"]
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
