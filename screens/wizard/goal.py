"""The Goal step: what the tuned model is for, what to prefer, and which objective and adapter that leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content

from ftui.data.document import RowKind
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.methods.families import COMMON
from ftui.planner.rules.goals import KINDS, WISHES, ways

from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.static import Static
from .methods import NAME, Line, MethodPick, adapter_lines, grouped, objective_lines, row
from .state import WizardState
from .step import Assigned, GoOn, Redrawn, Reset, Step

if TYPE_CHECKING:
    from ftui.recipe.cards import Section

PRIORITIES: dict[str, tuple[str, str]] = {
    "balanced": ("Balanced", "good quality in a reasonable time"),
    "quality": ("Best quality", "takes more of the card, and more time"),
    "speed": ("Fastest", "shortest time to a usable result"),
    "memory": ("Least memory", "leaves room on the card for others"),
}
ALL = "all adapters"
"""The key of the row that opens the whole list."""


class GoalStep(Step):
    """Enter in the first list goes to the second, enter there goes on; below stands what both lead to."""

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._lines: dict[str, list[Line]] = {}
        self._kind: RowKind | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="questions"):
            with Vertical():
                yield Static("What should the tuned model do?", classes="question")
                yield ChoiceTable(
                    Column("", 1), Column("", 28), Column("", wide=True), header=False, narrow=60, id="task"
                )
            with Vertical():
                yield Static("What matters most?", classes="question")
                yield ChoiceTable(
                    Column("", 1), Column("", 13), Column("", wide=True), header=False, narrow=44, id="priority"
                )
        yield Static(id="leads", classes="question")
        yield ChoiceTable(Column("", 1), Column("", NAME), Column(""), header=False, id="ways")
        yield Static(id="about")

    def show(self, state: WizardState) -> None:
        super().show(state)
        if state.profile or not state.draft.data.sources or "data" in state.problems:
            # While the same rows are counted anew, what they are stays known.
            self._kind = state.profile.kind if state.profile else None
        adapters = adapter_lines(state, self._adapters())
        self._lines = {"objective": objective_lines(state, self._kind), "adapter": adapters}
        goal = state.draft.goal
        wishes = {wish.task: (wish.title, wish.about) for wish in WISHES.values()}
        self.query_one("#task", ChoiceTable).show(_rows(wishes, goal.task))
        self.query_one("#priority", ChoiceTable).show(_rows(PRIORITIES, goal.priority))
        self.query_one("#leads", Static).update(Content(self._leads()))
        at = None if self._below else f"objective:{self._now('objective')}"
        self.query_one("#ways", ChoiceTable).show(self._ways(), at)
        self._explain()

    def on_mount(self) -> None:
        super().on_mount()
        goal = self.state.draft.goal
        self.query_one("#task", ChoiceTable).move(goal.task)
        self.query_one("#priority", ChoiceTable).move(goal.priority)

    def set_focus(self) -> None:
        self.query_one("#task", ChoiceTable).focus()

    # What the answers lead to.

    def _leads(self) -> str:
        if self._kind is None:
            return "That leads to (no rows are read yet)"
        count = self.state.profile.rows if self.state.profile else 0
        rows = f"{count:,} row{'' if count == 1 else 's'}: " if count else ""
        return f"That leads to ({rows}{KINDS[self._kind][1]})"

    def _now(self, section: Section) -> str:
        """The objective or adapter that the recipe has, or will be given."""
        if state := self.state.resolved:
            return getattr(state, section).kind
        if any(path.startswith(f"{section}.") for path in self.state.edited):
            return getattr(self.state.draft, section).kind
        return self._lines[section][0].kind

    def _adapters(self) -> tuple[str, ...]:
        chosen = self.state.asked.adapter.kind
        return COMMON if chosen in COMMON else (*COMMON, chosen)

    def _ways(self) -> list[Row]:
        objectives = self._lines["objective"]
        possible = [line for line in objectives if line.fit != "impossible"]
        impossible = [line for line in objectives if line.fit == "impossible"]
        objective, adapter = self._now("objective"), self._now("adapter")
        more = Row(ALL, ("…", f"All {len(ADAPTERS)} adapters", "in groups, with a search"))
        return [
            Row(None, ("Objective: how it learns",)), *(row("objective", line, objective) for line in possible),
            Row(None, ("Adapter: what trains",)), *(row("adapter", line, adapter) for line in self._lines["adapter"]),
            more,
            *([Row(None, ("Not with these rows",))] if impossible else []),
            *(row("objective", line, objective) for line in impossible),
        ]

    def _at(self) -> tuple[Section, Line] | None:
        """The method under the cursor of the list below."""
        section, _, kind = (self.query_one("#ways", ChoiceTable).key or "").partition(":")
        if section not in ("objective", "adapter"):
            return None
        line = next((each for each in self._lines[section] if each.kind == kind), None)
        return (section, line) if line else None  # type: ignore[return-value]  # both of the two words

    @property
    def _below(self) -> bool:
        return self.query_one("#ways", ChoiceTable).options.has_focus

    @on(ChoiceTable.Moved)
    def _explain(self) -> None:
        about = self.query_one("#about", Static)
        if self._below:
            at = self._at()
            about.update(Content(at[1].said if at else "Every adapter, the common ones first."))
            return
        wish = WISHES[self.query_one("#task", ChoiceTable).key or self.state.draft.goal.task]
        way = ways(wish.task, self._kind)[0]
        title = OBJECTIVES[way.objective].title
        about.update(Content.assemble((wish.title, "bold"), f": {wish.about}. Leads to {title}: {way.reason}."))

    def on_descendant_focus(self) -> None:
        self._explain()
        self.post_message(Redrawn())

    # Choosing.

    @on(ChoiceTable.Picked, "#task")
    def _task_picked(self, event: ChoiceTable.Picked) -> None:
        if event.key != self.state.draft.goal.task:
            self.post_message(Assigned({"goal.task": event.key}))
        self.query_one("#priority", ChoiceTable).focus()

    @on(ChoiceTable.Picked, "#priority")
    def _priority_picked(self, event: ChoiceTable.Picked) -> None:
        if event.key != self.state.draft.goal.priority:
            self.post_message(Assigned({"goal.priority": event.key}))
        self.post_message(GoOn())

    @on(ChoiceTable.Picked, "#ways")
    def _way_picked(self, event: ChoiceTable.Picked) -> None:
        if event.key == ALL:
            groups, now = grouped(self.state, "adapter"), self._now("adapter")
            self.app.push_screen(MethodPick("Which adapter?", "adapter", groups, now), self._adapter_chosen)
        elif (at := self._at()) and at[1].fit != "impossible":
            self._take(*at)

    def _adapter_chosen(self, kind: str | None) -> None:
        if kind is not None:
            self.post_message(Assigned({"adapter.kind": kind}))

    def _take(self, section: Section, line: Line) -> None:
        """What is recommended is left to the planner, so that it follows when the rows or the goal change."""
        edited = tuple(path for path in self.state.edited if path.startswith(f"{section}."))
        if line.fit == "pick" and self.state.preset is None:
            if edited:
                self.post_message(Reset(edited))
        elif line.kind != self._now(section):
            self.post_message(Assigned({f"{section}.kind": line.kind}))

    # The frame.

    def next_line(self) -> str:
        if self._below:
            at = self._at()
            if at and at[1].fit == "impossible":
                return "It can't be: the line above says why; ? shows its card."
            return "Enter takes it, ? shows its card; ctrl+n goes on to the plan."
        if self.query_one("#priority", ChoiceTable).options.has_focus:
            return "Enter chooses and goes on to the plan; tab leads to objective and adapter."
        return "Enter chooses; tab twice leads to the objective and the adapter below."

    def command(self) -> str:
        goal = self.state.draft.goal
        return f"ftui plan … --goal {goal.task} --set goal.priority={goal.priority}"

    def card(self) -> tuple[Section, str] | None:
        at = self._at() if self._below else None
        if at:
            return at[0], at[1].kind
        return "objective", self._now("objective")


def _rows(choices: dict[str, tuple[str, str]], chosen: str) -> list[Row]:
    return [Row(key, ("●" if key == chosen else "○", *words)) for key, words in choices.items()]
