"""The Settings step: every setting of the recipe as one line, edited in place, its cost shown at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input

from ftui import recipe
from ftui.errors import FtuiError
from ftui.planner.document import Choice, Verdict
from ftui.recipe import Setting
from ftui.recipe.cards import Section
from ftui.runs.command import plan_command

from .. import lookups
from ..background import Problem
from ..dialogs import Pick
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.memory_bar import MemoryBar
from ..widgets.static import Static
from .cost import cost_line, followed
from .setting_lines import lines, meaning, shown, values
from .state import WizardState
from .step import Assigned, GoOn, Reset, TraceAsked, problem_text, said
from .weighed import Weighed, ways_out
from .words import short_source

if TYPE_CHECKING:
    from .why_not import Taken

WIDE = 100
"""Columns from which the time's interval has room."""
METHODS: dict[str, Section] = {"objective.kind": "objective", "adapter.kind": "adapter"}
"""The settings whose values are methods, chosen among many and explained by their cards."""
GO_ON = "go on"
"""The key of the first row, where the cursor starts, so that enter alone leads from step to step."""


class SettingsStep(Weighed):
    """One list and one line to edit or to search in: sixty mounted inputs would cost more than the whole app."""

    BINDINGS = [
        Binding("slash", "find", "Find", key_display="/", tooltip="Search the settings"),
        Binding("a", "advanced", "Advanced", tooltip="Show the advanced settings, too, or hide them"),
        Binding("r", "reset", "Reset", show=False, tooltip="Back to the recommended value"),
        Binding("left", "turn(-1)", "Previous value", show=False),
        Binding("right", "turn(1)", "Next value", show=False),
        Binding("escape", "close", "Close", show=False),
    ]

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._advanced = False
        self._words = ""
        self._editing: Setting | None = None

    def compose(self) -> ComposeResult:
        yield ChoiceTable(
            Column("", 1), Column("Setting", 22), Column("Value", 20), Column("Why"), id="settings",
        )
        with Horizontal(id="line"):
            yield Static(id="label", markup=False)
            yield Input(id="editor", compact=True, disabled=True)
        yield Static(id="about")
        yield MemoryBar(peak=False)
        yield Static(id="cost")
        yield Static(id="below")

    def show(self, state: WizardState) -> None:
        super().show(state)
        self.query_one(ChoiceTable).show(self._rows())
        if state.estimate and state.plan:
            self.query_one(MemoryBar).show(state.estimate.memory, state.plan.budget_bytes, state.plan.reserve_bytes)
        wide = self.app.size.width >= WIDE
        self.query_one("#cost", Static).update(said(state, "plan") or cost_line(state, wide=wide))
        verdict = self.verdict()
        below = [*followed(state), *(ways_out(verdict) if verdict else [])]
        self.query_one("#below", Static).update(Content("\n").join(below))
        self.query_one("#below").display = bool(below)
        self.refresh_bindings()
        self._explain()

    def set_focus(self) -> None:
        self.query_one(ChoiceTable).focus()

    # The list.

    def _shown(self) -> list[Setting]:
        words = self._words.lower().split()
        edited = self.state.edited
        return [
            each
            for each in recipe.walk(self.state.shown)
            if all(word in f"{each.path} {each.title} {each.help}".lower() for word in words)
            and (self._advanced or words or not each.advanced or each.path in edited)
        ]

    def _rows(self) -> list[Row]:
        whole = "Go on as set" if self.state.edited else "Leave all as it is"
        first = Row(GO_ON, ("→", whole, "", "every setting has its value: on to the review"))
        return [*([] if self._words else [first]), *lines(self.state, self._shown())]

    def _at(self) -> Setting | None:
        key = self.query_one(ChoiceTable).key
        return next((each for each in self._shown() if each.path == key), None)

    @on(ChoiceTable.Moved)
    def _explain(self) -> None:
        about = self.query_one("#about", Static)
        if problem := self.state.problems.get("edit"):
            about.update(problem_text(problem))
            return
        if setting := self._at():
            choice = self.state.reason(setting.path)
            # The reason comes before the explanation, which a small terminal cuts.
            reason = f"{choice.reason} [{short_source(choice.source)}]" if choice else ""
            said_of_it = (
                Content.assemble((setting.path, "bold"), ("  takes ", "dim"), Content(setting.limits)),
                Content.assemble(("recommended ", "dim"), Content(reason)) if reason else Content(""),
                Content(f"{setting.help} {setting.why}"),
            )
            about.update(Content("\n").join(line for line in said_of_it if line))
        else:
            about.update(Content("Each line below is one setting with its value and why; enter on it changes it, "
                                 "w says what its other values would change, a shows the advanced ones."))

    # Editing.

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        if event.key == GO_ON:
            self.post_message(GoOn())
            return
        setting = self._at()
        if setting is None:
            return
        if setting.path in METHODS:
            section, now = METHODS[setting.path], shown(self.state, setting)
            from .methods import MethodPick, grouped

            pick = MethodPick(setting.title, section, grouped(self.state, section), now)
            self.app.push_screen(pick, lambda value: self._chosen(setting, value))
        elif setting.kind == "bool" and not setting.nullable:
            self.action_turn(1)
        elif setting.kind in ("bool", "choice"):
            meanings = {value: meaning(setting, value, self.state) for value in values(setting)}
            at = shown(self.state, setting)
            self.app.push_screen(Pick(setting.title, meanings, at), lambda value: self._chosen(setting, value))
        else:
            self._editing = setting
            self._open(setting.title, shown(self.state, setting))

    def _chosen(self, setting: Setting, value: str | None) -> None:
        if value is not None:
            self.post_message(Assigned({setting.path: value}))

    def action_turn(self, by: int) -> None:
        """Take the next or the previous of a setting's few values."""
        setting = self._at()
        if setting is None or setting.kind not in ("bool", "choice"):
            return
        turned = values(setting)
        now = shown(self.state, setting)
        at = turned.index(now) if now in turned else 0
        self.post_message(Assigned({setting.path: turned[(at + by) % len(turned)]}))

    def action_reset(self) -> None:
        if setting := self._at():
            self.post_message(Reset((setting.path,)))

    # The keys of what is weighed.

    def verdict(self) -> Verdict | None:
        return self.state.estimate.verdict if self.state.estimate else None

    def take(self, changes: Sequence[Choice]) -> None:
        self.post_message(Assigned({change.path: change.value for change in changes}))

    def action_trace(self) -> None:
        if self.state.resolved is not None:
            command = plan_command(self.state.asked, reference=self.state.preset)
            self.post_message(TraceAsked(self.state.resolved, f"{command} --trace"))

    def action_why_not(self) -> None:
        from .why_not import WhyNotDialog

        setting, layout = self._at(), self.state.layout
        if setting is None or layout is None:
            return
        title = f"{setting.title}: why {shown(self.state, setting)}, and why not another value?"
        self.app.push_screen(WhyNotDialog(title, partial(lookups.other_values, layout, setting.path)), self._answered)

    def _answered(self, taken: Taken | None) -> None:
        if taken is not None:
            answer, changes = taken
            self.post_message(Assigned(answer.settings | {change.path: change.value for change in changes}))

    def action_advanced(self) -> None:
        self._advanced = not self._advanced
        self.query_one(ChoiceTable).show(self._rows())

    def action_find(self) -> None:
        self._editing = None
        self._open("find", self._words)

    def _open(self, label: str, value: str) -> None:
        editor = self.query_one(Input)
        self.query_one("#label", Static).update(label)
        editor.disabled = False
        with editor.prevent(Input.Changed):
            editor.value = value
        editor.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self._editing is None:
            self._words = event.value
            words, found = event.value.lower().split(), self._shown()
            # What is called so comes before what only mentions it.
            named = (each.path for each in found if all(w in f"{each.path} {each.title}".lower() for w in words))
            self.query_one(ChoiceTable).show(self._rows(), at=next(named, None) if words else None)
        else:
            problem = self._wrong(self._editing, event.value)
            event.input.set_class(problem is not None, "-invalid")
            self.query_one("#about", Static).update(problem_text(problem) if problem else Content(self._editing.help))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if self._editing is not None:
            if self._wrong(self._editing, event.value):
                return
            self.post_message(Assigned({self._editing.path: event.value}))
        self._shut()

    def _wrong(self, setting: Setting, text: str) -> Problem | None:
        try:
            self.state.assigned({setting.path: text})
        except FtuiError as error:
            return Problem(error.what, error.hint or "")
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action != "close":
            return super().check_action(action, parameters)
        # Without an open line or a search, escape is the wizard's.
        return self._editing is not None or bool(self._words) or self.query_one(Input).has_focus

    def action_close(self) -> None:
        if self._editing is None:
            self._words = ""
        self._shut()
        self.query_one(ChoiceTable).show(self._rows())

    def _shut(self) -> None:
        editor = self.query_one(Input)
        self._editing = None
        self.query_one(ChoiceTable).focus()
        with editor.prevent(Input.Changed):
            editor.value = self._words
        editor.remove_class("-invalid")
        editor.disabled = True
        self.query_one("#label", Static).update("find" if self._words else "")
        self._explain()

    # The frame.

    def next_line(self) -> str:
        setting = self._at()
        if setting is None:
            return "Enter goes on to the review; ↓ leads to the settings, / finds one."
        turns = "← → turn it" if setting.kind in ("bool", "choice") else "/ finds"
        more = "r takes it back" if setting.path in self.state.edited else turns
        return f"Enter edits, {more}, w compares other values; ctrl+n goes on."

    def command(self) -> str:
        setting = self._at()
        return f"ftui launch … --set {setting.path}={shown(self.state, setting)}" if setting else "ftui recipe schema"

    def term(self) -> str | None:
        setting = self._at()
        return setting.term if setting else None

    def card(self) -> tuple[Section, str] | None:
        setting = self._at()
        if setting is None or setting.path not in METHODS:
            return None
        return METHODS[setting.path], shown(self.state, setting)
