"""The Plan step: the ways to train as a table, the one under the cursor as a memory bar with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from ftui import recipe
from ftui.errors import FtuiError
from ftui.planner import resolve
from ftui.planner.document import Choice, Method, Option, Plan, Verdict
from ftui.runs.command import plan_command
from ftui.units import clock, count, gib

from .. import lookups
from ..widgets.badge import ESTIMATE, between, signed
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.memory_bar import MemoryBar
from ..widgets.static import Static
from .state import WizardState
from .step import Assigned, GoOn, OptionChosen, TraceAsked, said
from .weighed import FIT_STYLES, FIT_WORDS, Weighed, ways_out
from .words import short_source, shown_value

if TYPE_CHECKING:
    from .why_not import Taken

FIXED_ELSEWHERE = ("name", "goal.task", "goal.priority", "model.base", "model.revision", "data.sources", "compute.gpus")
"""What the steps before have asked for."""


class PlanStep(Weighed):
    """Enter takes the option under the cursor with all its settings and goes on."""

    def compose(self) -> ComposeResult:
        yield Static(classes="said")
        yield ChoiceTable(
            Column("", 1), Column("Method"), Column("Fits", 5), Column("Quality", 7, right=True),
            Column("Memory", 10, right=True), Column("From–to", 9, right=True, wide=True),
            Column(f"{ESTIMATE} Time", 7, right=True), Column("Batch", 5, right=True), Column("Length", 6, right=True),
            Column("Rank", 4, right=True, wide=True), Column("Checkp.", 7, wide=True),
            Column("Result", 8, right=True, wide=True), id="options", narrow=110,
        )
        yield MemoryBar()
        with VerticalScroll(id="why"):
            yield Static(id="reasons")

    def show(self, state: WizardState) -> None:
        super().show(state)
        # Until there is a plan, what it waits for is what there is to say.
        waited_for = ("plan",) if state.plan else ("plan", "data", "model", "hardware")
        line = next((line for subject in waited_for if (line := said(state, subject))), None)
        self.query_one(".said", Static).update(line or "")
        self.query_one(".said").display = line is not None
        plan = state.plan
        if plan is None:
            self.query_one(ChoiceTable).show(())
            return
        table = self.query_one(ChoiceTable)
        fresh = not table.keys
        table.show(self._rows(plan), at=state.chosen.method if fresh and state.chosen else None)
        self._explain()

    def set_focus(self) -> None:
        self.query_one(ChoiceTable).focus()

    def _rows(self, plan: Plan) -> list[Row]:
        followed = self.state.chosen.method if self.state.chosen else ""
        fitting = [self._row(option, plan, followed) for option in (plan.recommendation, *plan.alternatives)]
        missing = [self._row(option, plan, followed) for option in plan.rejected]
        if plan.recommendation.verdict.fit == "no":
            return [Row(None, ("nothing fits; what misses by least comes first",)), *fitting, *missing]
        return [*fitting, Row(None, ("doesn't fit",)), *missing] if missing else fitting

    def _row(self, option: Option, plan: Plan, followed: str) -> Row:
        key = option.method
        mark = "●" if key == followed else "○"
        title = Content(option.title)
        if option is plan.recommendation:
            title += Content.styled(" ★", "$text-success")
        best, settings = self._best(option), option.settings
        fit = best.verdict.fit
        return Row(key, (
            mark, title, Content.styled(FIT_WORDS[fit], FIT_STYLES[fit]), f"{option.quality:.1%}",
            signed(best.memory), between(best.memory),
            "–" if fit == "no" else clock(option.time.total_seconds), self._value(settings, "train.micro_batch"),
            self._value(settings, "data.max_length"),
            "–" if option.method == "full" else self._value(settings, "adapter.rank"),
            "on" if self._value(settings, "train.checkpointing") in ("True", "true") else "off",
            gib(option.adapter_bytes),
        ))

    def _value(self, settings: dict[str, Any], path: str) -> str:
        if path in settings:
            return str(settings[path])
        try:
            return str(recipe.get(self.state.draft, path))
        except FtuiError:
            return "–"

    def _best(self, option: Option) -> Option:
        """The option as it is known best: measured, traced, or the formula's."""
        return self.state.known.get(option.method, option)

    def _at(self) -> Option | None:
        plan, key = self.state.plan, self.query_one(ChoiceTable).key
        if plan is None:
            return None
        options = (plan.recommendation, *plan.alternatives, *plan.rejected)
        return next((option for option in options if option.method == key), plan.recommendation)

    @on(ChoiceTable.Moved)
    def _explain(self) -> None:
        plan, option = self.state.plan, self._at()
        if plan is None or option is None:
            return
        best = self._best(option)
        self.query_one(MemoryBar).show(best.memory, plan.budget_bytes, plan.reserve_bytes)
        self.query_one("#reasons", Static).update(Content("\n").join(reasons(best, plan, self._fixed())))
        self.refresh_bindings()

    def _fixed(self) -> list[str]:
        """The settings that were set by hand, and which every way keeps."""
        paths = sorted(self.state.edited - set(FIXED_ELSEWHERE))
        return [f"{path}={shown_value(recipe.get(self.state.draft, path))}" for path in paths]

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        if option := self._at():
            self._choose(option.method)
            self.post_message(GoOn())

    def _choose(self, method: Method) -> None:
        plan = self.state.plan
        self.post_message(OptionChosen(None if plan and method == plan.recommendation.method else method))

    # The keys of what is weighed.

    def verdict(self) -> Verdict | None:
        option = self._at()
        return self._best(option).verdict if option else None

    def take(self, changes: Sequence[Choice]) -> None:
        if option := self._at():
            self._choose(option.method)
            self.post_message(Assigned({change.path: change.value for change in changes}))

    def action_trace(self) -> None:
        plan, option = self.state.plan, self._at()
        if plan is not None and option is not None:
            self.post_message(TraceAsked(resolve(self.state.draft, plan, option), f"{self.command()} --trace"))

    def action_why_not(self) -> None:
        from .why_not import WhyNotDialog

        state, option = self.state, self._at()
        if state.plan is None or state.hardware is None or state.shape is None or option is None:
            return
        plan = state.plan
        names = {each.method: each.title for each in (plan.recommendation, *plan.alternatives, *plan.rejected)}
        ask = partial(lookups.ways, plan, state.hardware, state.shape, state.profile, state.draft)
        title = f"Why {plan.recommendation.title}, and why not another way?"
        self.app.push_screen(WhyNotDialog(title, ask, at=option.method, names=names), self._answered)

    def _answered(self, taken: Taken | None) -> None:
        if taken is None:
            return
        answer, changes = taken
        if answer.method is not None:
            self.query_one(ChoiceTable).move(answer.method)
            self._choose(answer.method)
        if changes:
            self.post_message(Assigned({change.path: change.value for change in changes}))

    def next_line(self) -> str:
        if self.state.plan is None:
            return "The ways to train stand here once machine, model and data are known."
        return "Enter takes this way, w compares, t traces; tab, then ↓, reads the reasons."

    def command(self) -> str:
        return plan_command(self.state.draft, reference=self.state.preset)

    def term(self) -> str | None:
        option = self._at()
        return {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA", "lora-int8": "LoRA"}.get(
            option.method if option else ""
        )


def reasons(option: Option, plan: Plan, fixed: Sequence[str] = ()) -> list[Content]:
    """Why this option: whether it fits and what would make it, its note, what it trains, and of the recommendation each
    value's reason; `fixed` are the settings that no way may change.
    """
    verdict, time, memory = option.verdict, option.time, option.memory
    lines = [
        Content.styled(verdict.text, FIT_STYLES[verdict.fit]),
        *ways_out(verdict),
        Content(option.note),
        Content.assemble(
            ("peak in ", "dim"), memory.phase, (f" ({memory.badge})", "dim"), ("   time ", "dim"),
            f"{clock(time.low_seconds)} to {clock(time.high_seconds)} for {count(time.steps)} steps",
            ("   trains ", "dim"), f"{count(option.trainable_parameters)} parameters",
        ),
    ]
    if fixed:
        back = ("; r in Settings takes it back", "dim")
        lines.append(Content.assemble(("set by you ", "dim"), ", ".join(fixed), back))
    if option.method == plan.recommendation.method:
        lines += [
            Content.assemble((f"{choice.path}={shown_value(choice.value)}", "bold"), "  ", Content(choice.reason),
                             (f"  [{short_source(choice.source)}]", "dim"))
            for choice in plan.choices
        ]
    notes = [*memory.notes, *plan.notes]
    if not plan.alternatives and not plan.rejected:
        notes.append("The recipe itself sets the method (adapter.kind, model.quantization), so no other is compared.")
    lines += [Content.styled(note, "dim") for note in notes]
    return [line for line in lines if line]
