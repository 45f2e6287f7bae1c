"""`WizardState`: everything the wizard knows at one moment, immutable; the steps draw it and never keep a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import SkipValidation

from ftui import recipe
from ftui.data.document import DataProfile
from ftui.documents import Document
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner.document import Choice, Estimate, Method, Option, Plan
from ftui.recipe import Recipe

from ..background import Problem
from .checkup import Look

if TYPE_CHECKING:
    from ftui.runs.launch import Layout
else:
    # It is handed through as it is; pydantic would ask for the types of all its fields, which load later.
    Layout = Any

StepName = Literal["hardware", "model", "data", "goal", "plan", "settings", "review"]
STEPS: dict[StepName, str] = {
    "hardware": "Hardware", "model": "Model", "data": "Data", "goal": "Goal", "plan": "Plan", "settings": "Settings",
    "review": "Review",
}
ORDER: tuple[StepName, ...] = tuple(STEPS)
KINDS = ("objective.kind", "adapter.kind")
KEPT = ("step", "furthest", "draft", "preset", "option")
"""What is written to disk; the rest is found out again, so that a resumed wizard shows what is true now."""


class Moved(NamedTuple):
    """By how much an edit changed the expected peak and the time of the run, and the other settings that followed."""

    bytes: int
    seconds: float
    followed: tuple[recipe.Difference, ...] = ()


class WizardState(Document):
    """The draft is what a person asked for; what it leaves at "auto" the plan fills.

    `option` is the method that was chosen in place of the plan's recommendation; its settings stay apart from the
    draft, so that choosing another one takes them back.
    """

    step: StepName = "hardware"
    furthest: int = 0
    draft: Recipe = Recipe()
    preset: str | None = None
    base: Recipe = Recipe()
    """What a reset goes back to: the preset's recipe, or the defaults."""
    option: Method | None = None

    hardware: Hardware | None = None
    shape: ModelShape | None = None
    profile: DataProfile | None = None
    look: SkipValidation[Look | None] = None
    """The check-up of the data as it stands in its files, before any repair."""
    plan: Plan | None = None
    """For the draft: the table of the Plan step."""
    layout: SkipValidation[Layout | None] = None
    """What would be launched: the asked recipe resolved on this machine."""
    outdated: bool = False
    """Whether something was edited since that `layout` was made: it must not be launched."""
    known: dict[Method, Option] = {}
    """Those of the plan's options of which more is known than the formula says: traced or measured."""
    moved: Moved | None = None
    """What the last edit changed."""
    at_once: Estimate | None = None
    """What the last edit costs by itself, until the plan is made anew with all that follows from it."""
    problems: dict[str, Problem] = {}
    """By subject: "hardware", "model", "data", "plan"."""
    busy: dict[str, str] = {}
    """By subject: what is being waited for, in words."""

    def having(self, **changes: Any) -> Self:
        """This state with other values."""
        return self.model_copy(update=changes)

    def with_problem(self, subject: str, problem: Problem | None) -> Self:
        """This state with the subject's problem set or, by None, gone; it is no longer busy with the subject."""
        others = {key: value for key, value in self.problems.items() if key != subject}
        busy = {key: value for key, value in self.busy.items() if key != subject}
        return self.having(problems=others | ({subject: problem} if problem else {}), busy=busy)

    def waiting(self, subject: str, text: str) -> Self:
        """This state, waiting for something about `subject`."""
        return self.with_problem(subject, None).having(busy=self.busy | {subject: text})

    def assigned(self, values: dict[str, Any]) -> Self:
        """With these settings edited by hand; they stand above the chosen option.  Raises BadRecipe.

        A setting of an objective or adapter that was left to the planner keeps that one, too.
        """
        kinds = {
            path: kind
            for path, kind in self._planned_kinds().items()
            if path not in values and any(each.startswith(path.removesuffix("kind")) for each in values)
        }
        return self.having(draft=recipe.assign(self.draft, kinds | values))

    def reset(self, *paths: str) -> Self:
        """With these settings back at the preset's value, or left to the planner."""
        kept = recipe.asked(self.base)
        back = {path: recipe.get(self.base, path) for path in paths if path in kept}
        draft = recipe.forget(self.draft, *(path for path in paths if path not in back))
        return self.having(draft=recipe.assign(draft, back) if back else draft)

    @property
    def asked(self) -> Recipe:
        """The draft with the chosen option's settings: what would be launched."""
        if self.option is None or self.chosen is None:
            return self.draft
        by_hand = self.edited
        return recipe.assign(self.draft, {path: v for path, v in self.chosen.settings.items() if path not in by_hand})

    @property
    def edited(self) -> frozenset[str]:
        """The dotted paths set by hand: differing from the preset (or the defaults), or asked for beyond it."""
        beyond = recipe.asked(self.draft) - recipe.asked(self.base)
        kinds = {path for path in KINDS if recipe.get(self.base, path) != recipe.get(self.draft, path)}
        changed = {difference.path for difference in recipe.differences(self.start, self.draft)}
        return frozenset(beyond | kinds | changed)

    @property
    def start(self) -> Recipe:
        """What the draft's settings are held against: the base, with the draft's own objective and adapter."""
        return recipe.with_kinds_of(self.base, self.draft)

    @property
    def shown(self) -> Recipe:
        """The asked recipe with the objective and adapter that the planner takes where they were left to it."""
        kinds = self._planned_kinds()
        return recipe.assign(self.asked, kinds) if kinds else self.asked

    def _planned_kinds(self) -> dict[str, str]:
        """The objective and adapter of the resolved recipe that differ from the asked ones and weren't asked for."""
        if self.resolved is None:
            return {}
        asked, fixed = self.asked, recipe.asked(self.asked)
        kinds = {path: recipe.get(self.resolved, path) for path in KINDS if path not in fixed}
        return {path: kind for path, kind in kinds.items() if kind != recipe.get(asked, path)}

    @property
    def resolved(self) -> Recipe | None:
        """The recipe that would run, every value filled."""
        return self.layout.recipe if self.layout else None

    @property
    def estimate(self) -> Estimate | None:
        """What the resolved recipe costs."""
        return self.at_once or (self.layout.estimate if self.layout else None)

    def reason(self, path: str) -> Choice | None:
        """What the planner picked for this setting, or would have, with its reason; None where it has no opinion."""
        plan = self.layout.plan if self.layout else None
        return next((choice for choice in (*plan.choices, *plan.advice) if choice.path == path), None) if plan else None

    @property
    def chosen(self) -> Option | None:
        """The plan's option that the recipe follows: the recommendation, unless another one was chosen and is there."""
        if self.plan is None:
            return None
        options = (self.plan.recommendation, *self.plan.alternatives, *self.plan.rejected)
        return next((each for each in options if each.method == self.option), self.plan.recommendation)

    @property
    def device(self) -> str:
        """What the run would train on, in words."""
        if self.hardware is None:
            return "reading the machine …"
        on_cpu = self.draft.compute.gpus == 0
        return f"CPU ({self.hardware.cpu.cores:g} cores)" if on_cpu else self.hardware.device_name

    def lacks(self, step: StepName) -> str | None:
        """Why `step` can't be shown yet, in one sentence with what to do; None if it can."""
        if step in ("plan", "settings", "review"):
            if self.shape is None:
                return "The plan needs a base model: choose one in the Model step."
            if "data" in self.busy:
                return "The data is still being read; the plan follows as soon as it is."
            if self.profile is None:
                return "The plan needs the data: name a file in the Data step."
            if self.hardware is None:
                return "The plan needs the machine's facts, which are still being read."
        return None

    @property
    def done(self) -> frozenset[str]:
        """The steps that have been passed and hold what the next ones need."""
        have = {"hardware": self.hardware, "model": self.shape, "data": self.profile, "plan": self.resolved}
        passed = ORDER[: self.furthest]
        return frozenset(step for step in passed if step not in have or have[step] is not None)

    def kept(self) -> dict[str, Any]:
        """What is written to disk, as plain JSON."""
        values = self.model_dump(mode="json", include=set(KEPT) - {"draft"})
        return values | {"draft": recipe.write(self.draft, only=recipe.asked(self.draft))}
