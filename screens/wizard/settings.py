"""The Settings step: every setting of the recipe as one line, edited in place, its cost shown at once."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from ftui import recipe
from ftui.errors import FtuiError
from ftui.recipe import Setting

from ..background import Problem
from ..dialogs import Pick
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.memory_bar import MemoryBar
from .cost import cost_line
from .state import WizardState
from .step import Assigned, GoOn, Reset, Step, TraceAsked, problem_text, said
from .words import short_source, shown_value

SECTION_TITLES = {
    "general": "General", "goal": "Goal", "model": "Model", "data": "Data", "objective": "Objective",
    "adapter": "Adapter", "train": "Training", "evaluate": "Evaluation", "recovery": "Recovery",
    "tracking": "Tracking", "compute": "Compute",
}
GO_ON = "go on"
"""The key of the first row, where the cursor starts, so that enter alone leads from step to step."""


class SettingsStep(Step):
    """One list and one line to edit or to search in: sixty mounted inputs would cost more than the whole app."""

    BINDINGS = [
        Binding("slash", "find", "Find", key_display="/", tooltip="Search the settings"),
        Binding("a", "advanced", "Advanced", tooltip="Show the advanced settings, too, or hide them"),
        Binding("t", "trace", "Trace", tooltip="Run the step as it is set now without a GPU: the peak to the percent"),
        Binding("r", "reset", "Reset", tooltip="Back to the recommended value"),
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
        yield MemoryBar()
        yield Static(id="cost")

    def show(self, state: WizardState) -> None:
        super().show(state)
        self.query_one(ChoiceTable).show(self._rows())
        if state.estimate and state.plan:
            self.query_one(MemoryBar).show(state.estimate.memory, state.plan.budget_bytes, state.plan.reserve_bytes)
        self.query_one("#cost", Static).update(said(state, "plan") or cost_line(state))
        self._explain()

    def set_focus(self) -> None:
        self.query_one(ChoiceTable).focus()

    # The list.

    def _shown(self) -> list[Setting]:
        words = self._words.lower().split()
        edited = self.state.edited
        return [
            each
            for each in recipe.walk(self.state.asked)
            if all(word in f"{each.path} {each.title} {each.help}".lower() for word in words)
            and (self._advanced or words or not each.advanced or each.path in edited)
        ]

    def _rows(self) -> list[Row]:
        section, edited = "", self.state.edited
        whole = "Go on as set" if edited else "Leave all as it is"
        rows = [] if self._words else [Row(GO_ON, ("→", whole, "", "every setting has its value: on to the review"))]
        for setting in self._shown():
            if setting.section != section:
                section = setting.section
                rows.append(Row(None, (SECTION_TITLES.get(section, section.capitalize()),)))
            by_hand = setting.path in edited
            value = Content(shown(self.state, setting)).stylize("bold" if by_hand else "")
            mark = Content.styled("•", "bold $text-accent") if by_hand else ""
            rows.append(Row(setting.path, (mark, setting.title, value, self._why(setting, by_hand))))
        return rows

    def _why(self, setting: Setting, by_hand: bool) -> Content:
        choice = self.state.reason(setting.path)
        if by_hand:
            was = shown_value(recommended(self.state, setting))
            whose = "recommended" if choice else "preset" if self.state.preset else "default"
            return Content.styled(f"yours; {whose} {was}" if was else "yours", "$text-accent")
        if choice and shown_value(choice.value, setting.separator) != shown(self.state, setting):
            return Content.assemble(("the preset's; otherwise ", "dim"), Content(choice.reason))
        return Content(choice.reason if choice else setting.help).stylize("" if choice else "dim")

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
            source = f"{choice.reason} [{short_source(choice.source)}]" if choice else ""
            lines = (
                Content.assemble((setting.path, "bold"), ("  takes ", "dim"), Content(setting.limits)),
                Content(f"{setting.help} {setting.why}"),
                Content.assemble(("recommended ", "dim"), Content(source)) if source else Content(""),
            )
            about.update(Content("\n").join(lines))
        else:
            about.update(Content("Each line below is one setting with its value and why; enter on it changes it."))

    # Editing.

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        if event.key == GO_ON:
            self.post_message(GoOn())
            return
        setting = self._at()
        if setting is None:
            return
        if setting.kind == "bool" and not setting.nullable:
            self.action_turn(1)
        elif setting.kind in ("bool", "choice"):
            values = {value: _meaning(setting, value, self.state) for value in _values(setting)}
            at = shown(self.state, setting)
            self.app.push_screen(Pick(setting.title, values, at), lambda value: self._chosen(setting, value))
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
        values = list(_values(setting))
        now = shown(self.state, setting)
        at = values.index(now) if now in values else 0
        self.post_message(Assigned({setting.path: values[(at + by) % len(values)]}))

    def action_reset(self) -> None:
        if setting := self._at():
            self.post_message(Reset((setting.path,)))

    def action_trace(self) -> None:
        state = self.state
        if state.resolved is not None and state.estimate is not None:
            self.post_message(TraceAsked(state.resolved, state.estimate.memory))

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
            self.query_one(ChoiceTable).show(self._rows())
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
        # Without an open line or a search, escape is the wizard's.
        return action != "close" or self._editing is not None or bool(self._words) or self.query_one(Input).has_focus

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
        if self._at() is None:
            return "Enter goes on to the review; down leads to the settings, / finds one."
        return "Enter edits, ← → turn a choice, / finds, t traces; ctrl+n goes on to the review."

    def command(self) -> str:
        setting = self._at()
        return f"ftui launch … --set {setting.path}={shown(self.state, setting)}" if setting else "ftui recipe schema"

    def term(self) -> str | None:
        setting = self._at()
        return setting.term if setting else None


def _values(setting: Setting) -> tuple[str, ...]:
    values = ("true", "false") if setting.kind == "bool" else setting.offered
    return (*(("auto",) if setting.auto else ()), *values, *(("null",) if setting.nullable else ()))


def _meaning(setting: Setting, value: str, state: WizardState) -> str:
    if value == "auto":
        choice = state.reason(setting.path)
        return f"the planner's: {shown_value(choice.value)}" if choice else "left to the planner"
    return ""


def recommended(state: WizardState, setting: Setting) -> object:
    """What the setting would be without the hand: the planner's value, else the preset's or the default."""
    choice = state.reason(setting.path)
    if choice:
        return choice.value
    try:
        return recipe.get(state.base, setting.path)
    except FtuiError:
        return setting.default


def shown(state: WizardState, setting: Setting) -> str:
    """The setting's value as it would be launched, in the words in which it can be typed."""
    for holder in (state.resolved, state.asked):
        if holder is not None:
            try:
                return shown_value(recipe.get(holder, setting.path), setting.separator)
            except FtuiError:
                continue
    return shown_value(setting.default, setting.separator)
