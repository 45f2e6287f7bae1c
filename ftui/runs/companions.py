"""What an objective needs beside base and data, looked at before the launch: a teacher, functions and reward models.

The worker looks again: days may lie between, and it alone can load them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.errors import BadInput, FtuiError, Refused
from ftui.methods.rewards import parse_all
from ftui.models.document import ModelShape
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.recipe.stages import STAGE
from ftui.runs.own_function import wrong_function

if TYPE_CHECKING:
    from ftui.methods.rewards import Reward

Wrong = tuple[str, str]
"""What would make the run fail, and what to write."""


def wrong_companions(recipe: Recipe, shape: ModelShape) -> Iterator[Wrong]:
    """Everything that `recipe` names beside the base model `shape` and can't be used, as far as torch is not needed."""
    if teacher := getattr(recipe.objective, "teacher", ""):
        yield from _wrong_teacher(teacher, shape)
    try:
        rewards = parse_all(getattr(recipe.objective, "rewards", ()))
    except BadInput:
        # Refused with the recipe.
        return
    for reward in rewards:
        if wrong := _wrong_reward(reward):
            yield f"objective.rewards: {wrong[0]}", wrong[1]
    yield from _wrong_judges(getattr(recipe.objective, "judge", ()))


def _wrong_judges(texts: Iterable[str]) -> Iterator[Wrong]:
    """Judges that the worker would not find: a function, a model to ask, a reward's."""
    from ftui.methods.judges import parse_all as judges_of

    try:
        judges = judges_of(texts)
    except BadInput:
        # Refused with the recipe.
        return
    for judge in judges:
        wrong = None
        if judge.reward is not None:
            wrong = _wrong_reward(judge.reward)
        elif judge.kind == "function":
            wrong = wrong_function(judge.argument)
        elif judge.kind == "asks":
            wrong = _wrong_asked(judge.argument)
        if wrong:
            yield f"objective.judge: {wrong[0]}", wrong[1]


def with_judge_size(recipe: Recipe) -> Recipe:
    """`recipe` with the size of the model that a judge asks, by which it is planned, where it leaves that open."""
    from ftui import models
    from ftui.methods.judges import parse_all as judges_of

    options: Any = recipe.objective
    try:
        asked = [judge.argument for judge in judges_of(getattr(options, "judge", ())) if judge.kind == "asks"]
        stated: float = getattr(options, "reward_parameters", 0.0)
        if not asked or stated:
            return recipe
        size = models.describe(asked[0]).parameters
    except FtuiError:
        # What is wrong with it is said as an obstacle.
        return recipe
    return assign(recipe, {"objective.reward_parameters": size / 1e9})


def _wrong_asked(name: str) -> Wrong | None:
    """A chat model that is asked for its judgement: known, and to be had."""
    from ftui import models

    if (Path(name).expanduser() / "adapter_config.json").exists():
        return f"{name} holds an adapter, not a model.", "Merge it into its base first, and name that folder."
    try:
        models.describe(name)
    except FtuiError as error:
        return error.what, error.hint or "Name a hub id or the folder of a model."
    return unfetchable(name)


def _wrong_teacher(teacher: str, student: ModelShape) -> Iterator[Wrong]:
    from ftui import models
    from ftui.data.vocabulary import require_same_vocabulary

    try:
        require_whole_teacher(teacher)
        models.describe(teacher)
        if found := unfetchable(teacher):
            yield f"objective.teacher: {found[0]}", found[1]
            return
    except FtuiError as error:
        hint = error.hint or "Name a larger model of the student's family."
        yield error.what if "objective." in error.what else f"objective.teacher: {error.what}", hint
        return
    try:
        ours = Path(student.path) if student.path else models.tokenizer_folder(student.ref, student.revision)
        require_same_vocabulary(ours, models.tokenizer_folder(teacher))
    except Refused:
        # The hub doesn't answer now, which is told of elsewhere; the worker will see.
        return
    except BadInput as error:
        yield error.what, error.hint or "Choose objective.teacher from the student's family."


def require_whole_teacher(teacher: str) -> None:
    """Raises BadInput where `teacher` is a folder with an adapter, alone or beside a model."""
    if (Path(teacher).expanduser() / "adapter_config.json").exists():
        raise BadInput(f"objective.teacher is {teacher}, which holds an adapter, not a model.",
                       "Merge it into its base first, and name the folder of the whole model.")  # fmt: skip


def _wrong_reward(reward: Reward) -> Wrong | None:
    if reward.kind == "function":
        return wrong_function(reward.argument)
    if reward.kind == "model" and not reward.argument.startswith(STAGE):
        return _wrong_scorer(reward.argument)
    if reward.kind == "json" and reward.argument.endswith(".json") and not Path(reward.argument).expanduser().is_file():
        return f"There is no schema {reward.argument}.", "Give the path of a JSON Schema, or a column's name."
    return None


def _wrong_scorer(name: str) -> Wrong | None:
    """A reward model by the folder of its run, or of its result, or by its hub id."""
    from ftui.models.config import is_path
    from ftui.models.lookup import config_of

    folder = Path(name).expanduser()
    inside = (folder / "output", folder)
    if any((each / file).is_file() for each in inside for file in ("adapter_config.json", "config.json")):
        return None
    hint = "Give the folder of a reward run's result, or a hub id."
    if is_path(name):
        return f"{name} holds no reward model." if folder.exists() else f"There is no reward model {name}.", hint
    try:
        config_of(name)
    except FtuiError as error:
        return f"The reward model {name} can't be had: {error.what}", error.hint or hint
    return None


def unfetchable(ref: str, revision: str | None = None) -> Wrong | None:
    """Why a model that is known can't be had: it lies nowhere whole, and the hub may not be asked."""
    from ftui import models
    from ftui.models.config import is_path
    from ftui.models.hub import offline

    if ref in ("demo", "auto") or models.locate(ref, revision):
        return None
    if is_path(ref):
        try:
            models.describe(ref, revision)
        except BadInput as error:
            # Named by the file that is missing, cut off or damaged.
            return error.what, error.hint or "Download the model again."
        return f"{ref} holds a config but no weights or no tokenizer.", "Give the hub id to download it."
    if offline():
        return (f"{ref} is not whole on this disk, and HF_HUB_OFFLINE forbids to fetch it.",
                "Unset HF_HUB_OFFLINE, or name a local folder.")  # fmt: skip
    return None
