"""By which methods a model of the catalogue fits this machine, in words short enough for a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ftui import planner
from ftui.calibration import calibration
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner.document import Method
from ftui.planner.rules.goals import like
from ftui.recipe import Recipe
from ftui.recipe.document import Compute, Goal

if TYPE_CHECKING:
    from ftui.models import Entry

NAMES: dict[Method, str] = {"full": "full", "lora": "LoRA", "qlora": "QLoRA"}


USABLE_TOKENS_PER_SECOND = 300
"""Below this a thousand rows take more than a quarter of an hour an epoch: to fit is not enough to be suggested."""


@dataclass(frozen=True)
class Judged:
    """`words` such as "LoRA, QLoRA", the most demanding first, or "none"; `usable` if one of them is fast enough."""

    words: str
    usable: bool


NOT_YET = Judged("?", False)


def judge(hardware: Hardware, entry: Entry, draft: Recipe) -> Judged:
    """Whether and how an entry of the catalogue can be trained here.

    Stands on the goal and the device only: the data may not be known yet, and what was edited for another model says
    nothing about this one.
    """
    return _judged(hardware, entry.shape, draft.goal, draft.compute)


@lru_cache(maxsize=256)
def _judged(hardware: Hardware, shape: ModelShape, goal: Goal, compute: Compute) -> Judged:
    """Kept, so that the list stands at once when one comes back to it."""
    plan = planner.plan(hardware, shape, None, Recipe(goal=goal, compute=compute), calibration())
    fitting = [each for each in (plan.recommendation, *plan.alternatives) if each.verdict.fit != "no"]
    methods = {option.method for option in fitting}
    words = ", ".join(word for method, word in NAMES.items() if method in methods)
    usable = any(option.time.tokens_per_second >= USABLE_TOKENS_PER_SECOND for option in fitting)
    return Judged(words or ("8-bit LoRA" if methods else "none"), usable)


def suggested(entries: Sequence[Entry], judged: dict[str, Judged], task: str) -> str | None:
    """The largest good start for `task` that trains here at a usable pace, else the smallest that fits."""
    known = like(task)
    good = [each for each in entries if known in each.goals and judged.get(each.id, NOT_YET).words not in ("none", "?")]
    usable = [each for each in good if judged[each.id].usable]
    if usable:
        return max(usable, key=lambda each: each.shape.parameters).id
    return min(good, key=lambda each: each.shape.parameters).id if good else None
