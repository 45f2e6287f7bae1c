"""The Plan step: the ways to train as a table, the one under the cursor as a memory bar with its reasons."""

from __future__ import annotations

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ftui.planner import resolve
from ftui.planner.document import MemoryEstimate, Option, Plan
from ftui.runs.command import plan_command
from ftui.units import clock, count, gib

from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.memory_bar import MemoryBar
from .state import WizardState
from .step import GoOn, OptionChosen, Step, TraceAsked, said
from .words import short_source, shown_value

FIT_STYLES = {"fits": "$text-success", "tight": "$text-warning", "no": "$text-error"}
FIT_WORDS = {"fits": "fits", "tight": "tight", "no": "no"}


class PlanStep(Step):
    """Enter takes the option under the cursor with all its settings and goes on; t traces it."""

    BINDINGS = [Binding("t", "trace", "Trace", tooltip="Run the option's step without a GPU: the peak to the percent")]

    def compose(self) -> ComposeResult:
        yield Static(classes="said")
        yield ChoiceTable(
            Column("", 1), Column("Method"), Column("Rank", 4, right=True), Column("Batch", 5, right=True),
            Column("Length", 6, right=True), Column("Ckpt", 4), Column("Memory", 9, right=True), Column("Fits", 5),
            Column("Time", 7, right=True), Column("Quality", 7, right=True, wide=True),
            Column("Result", 9, right=True, wide=True), id="options", narrow=96,
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
        rows = [self._row(option, plan, followed) for option in (plan.recommendation, *plan.alternatives)]
        if plan.rejected:
            rows.append(Row(None, ("doesn't fit",)))
            rows += [self._row(option, plan, followed) for option in plan.rejected]
        return rows

    def _row(self, option: Option, plan: Plan, followed: str) -> Row:
        key = option.method
        mark = "●" if key == followed else "○"
        title = Content(option.title)
        if option is plan.recommendation:
            title += Content.styled(" ★", "$text-success")
        settings = option.settings
        fit = Content.styled(FIT_WORDS[option.verdict.fit], FIT_STYLES[option.verdict.fit])
        rank = "–" if option.method == "full" else self._value(settings, "adapter.rank")
        return Row(key, (
            mark, title, rank, self._value(settings, "train.micro_batch"),
            self._value(settings, "data.max_length"),
            "on" if self._value(settings, "train.checkpointing") in ("True", "true") else "off",
            gib(self._memory(option).process_bytes), fit,
            clock(option.time.total_seconds), f"{option.quality:.0%}", gib(option.adapter_bytes),
        ))

    def _value(self, settings: dict[str, Any], path: str) -> str:
        from ftui import recipe
        from ftui.errors import FtuiError

        if path in settings:
            return str(settings[path])
        try:
            return str(recipe.get(self.state.draft, path))
        except FtuiError:
            return "–"

    def _memory(self, option: Option) -> MemoryEstimate:
        """What is known best of the option: measured, traced, or the formula's."""
        return self.state.known.get(option.method, option.memory)

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
        self.query_one(MemoryBar).show(self._memory(option), plan.budget_bytes, plan.reserve_bytes)
        self.query_one("#reasons", Static).update(Content("\n").join(reasons(option, plan, self._memory(option))))

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        plan, option = self.state.plan, self._at()
        if plan is None or option is None:
            return
        self.post_message(OptionChosen(None if option is plan.recommendation else option.method))
        self.post_message(GoOn())

    def action_trace(self) -> None:
        plan, option = self.state.plan, self._at()
        if plan is not None and option is not None:
            self.post_message(TraceAsked(resolve(self.state.draft, plan, option), option.memory))

    def next_line(self) -> str:
        if self.state.plan is None:
            return "The ways to train stand here as soon as the machine, the model and the data are known."
        return "Enter takes the way under the cursor, t proves its memory; the next step can change any setting."

    def command(self) -> str:
        return plan_command(self.state.draft, reference=self.state.preset)

    def term(self) -> str | None:
        option = self._at()
        return {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA", "lora-int8": "LoRA"}.get(
            option.method if option else ""
        )


def reasons(option: Option, plan: Plan, memory: MemoryEstimate) -> list[Content]:
    """Why this option: its note, whether it fits, what it trains, and for the recommendation each value's reason."""
    verdict, time = option.verdict, option.time
    lines = [
        Content(option.note),
        Content.styled(verdict.text, FIT_STYLES[verdict.fit]),
        Content.assemble(
            ("peak ", "dim"), f"{gib(memory.low_bytes)} to {gib(memory.high_bytes)} ({memory.badge}), at the ",
            memory.phase, ("   time ", "dim"),
            f"{clock(time.low_seconds)} to {clock(time.high_seconds)} for {count(time.steps)} steps",
            ("   trains ", "dim"), f"{count(option.trainable_parameters)} parameters",
        ),
    ]
    if len(verdict.changes) > 1:
        lines.append(Content("All of these together would do:" if verdict.together else "Any one of these would do:"))
    for change in verdict.changes:
        change_line = f"{change.path}={change.value}  {change.reason}"
        lines.append(Content.assemble(("→ ", "$text-accent"), Content(change_line)))
    if option is plan.recommendation:
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
