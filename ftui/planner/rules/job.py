"""`Job`: what the rules know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner.document import Choice
from ftui.planner.rules.sources import MEMORY
from ftui.recipe.document import Recipe

TINY = 300_000_000
"""Below this many parameters published learning rates are too low, and memory hardly matters."""
TASK_NAMES = {
    "classify": "a classification task", "instruct": "an instruction task", "chat": "a chat task",
    "reasoning": "a reasoning task", "code": "a code task", "domain": "learning a domain",
    "prefer": "learning preferences", "judge": "judging answers", "distill": "learning from a teacher",
    "tools": "calling tools",
}
PREFERENCE = ("dpo", "kto", "orpo", "cpo")
ONLINE = ("grpo", "rloo", "online_dpo", "ppo")
"""Objectives that train on the model's own completions."""


@dataclass(frozen=True)
class Job:
    """What the rules know: the machine, the model, the data (if read) and the draft."""

    hardware: Hardware
    shape: ModelShape
    profile: DataProfile | None
    draft: Recipe
    cpu: bool

    @property
    def rows(self) -> int | None:
        return self.profile.rows if self.profile else None

    @property
    def rows_text(self) -> str:
        return f"{self.rows:,} rows" if self.rows is not None else "unread rows"

    @property
    def task_text(self) -> str:
        return TASK_NAMES[self.draft.goal.task]

    @property
    def objective(self) -> str:
        """The objective's kind."""
        return self.draft.objective.kind

    @cached_property
    def wanted_length(self) -> Choice:
        """The sequence length that the rules ask for; the search comes back to it often."""
        # That rule reads a job itself.
        from ftui.planner.rules.data import max_length

        return max_length(self)

    @property
    def tiny(self) -> bool:
        return self.shape.parameters < TINY


def plain_choice(path: str, value: Any, reason: str, source: str = MEMORY) -> Choice:
    """A value with its reason, said without a rule of its own: such as those that the search picks by what fits."""
    return Choice(path=path, value=value, reason=reason, source=source)
