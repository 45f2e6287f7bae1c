"""The rewards of generated answers: one module per kind of `ftui.methods.rewards.KINDS`, by the same name.

Each `build(argument, place)` returns a pure function (completions, columns) -> a score per completion, None where it
has nothing to say.  `columns` holds, one entry per completion, the columns of the prompts' rows, "prompt" (messages)
and "tokens" (how many tokens the completion has).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftui.errors import BadInput, FtuiError, RunFailed
from ftui.methods.rewards import KINDS, Reward

Columns = Mapping[str, Sequence[Any]]
Score = Callable[[Sequence[str], Columns], "list[float | None]"]

MODULES = {kind: f"{__name__}.{kind}" for kind in KINDS} | {"json": f"{__name__}.json_schema"}
"""The module of each kind; a module named json would hide the standard library's."""


@dataclass(frozen=True)
class Place:
    """Where rewards are computed: `device` ("cuda" or "cpu"), the number format of weights, rows scored at once."""

    device: str = "cpu"
    dtype: str = "float32"
    rows: int = 8


@dataclass(frozen=True)
class Scorer:
    """A reward ready to score; `__name__` is what trl calls it."""

    reward: Reward
    score: Score

    @property
    def __name__(self) -> str:
        return self.reward.label

    def __call__(self, completions: Sequence[str], columns: Columns) -> list[float | None]:
        """Finite numbers or None, one per completion; RunFailed names the reward that fails or gives something else."""
        try:
            scores = list(self.score(completions, columns))
        except FtuiError:
            raise
        except Exception as error:  # whatever a user's own function throws ends the run with its name, not a traceback
            text = f"The reward {self.reward.name} failed: {type(error).__name__}: {error}."
            raise RunFailed(text, "worker.log has the whole traceback; correct it and resume the run.") from error
        if len(scores) != len(completions):
            raise RunFailed(f"The reward {self.reward.name} gave {len(scores)} scores for {len(completions)} answers.",
                            "It must return one for each of `completions`.")  # fmt: skip
        return [self._checked(score) for score in scores]

    def _checked(self, score: Any) -> float | None:
        if score is None:
            return None
        try:
            number = float(score)
        except (TypeError, ValueError):
            raise RunFailed(f"The reward {self.reward.name} gave {score!r}, which is no number.",
                            "Return numbers, or None where there is nothing to say.") from None  # fmt: skip
        return number if math.isfinite(number) else None


def build(rewards: Sequence[Reward], place: Place) -> list[Scorer]:
    """All rewards of a recipe, ready to score; BadInput for one that can't be."""
    return [Scorer(reward, importlib.import_module(MODULES[reward.kind]).build(reward.argument, place))
            for reward in rewards]  # fmt: skip


def column(columns: Columns, name: str, kind: str) -> Sequence[Any]:
    """A column that a reward looks at; BadInput with those that there are."""
    if name not in columns:
        there = ", ".join(sorted(set(columns) - {"prompt", "tokens"})) or "none but the prompt"
        raise BadInput(f"The reward {kind} looks at the column {name}, which the rows lack.",
                       f"They have: {there}. Write objective.rewards: [{kind}:COLUMN].")  # fmt: skip
    return columns[name]


def from_text(scored: Callable[[str], float | None]) -> Score:
    """A reward that looks at nothing but the answer."""
    return lambda completions, _: [scored(completion) for completion in completions]
