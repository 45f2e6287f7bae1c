"""Choosing an objective or an adapter among many: in groups, with a search, a reason beside each, its card behind ?."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input

from ftui.data.document import RowKind
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.methods.families import FAMILIES
from ftui.planner.rules.goals import Fit, ways
from ftui.recipe.adapter_choices import adapter_choices

from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.static import Static

if TYPE_CHECKING:
    from ftui.recipe.cards import Section

    from .state import WizardState


NAME = 25
"""Columns of a method's name."""


class Line(NamedTuple):
    """A method to choose, its title, whether it can be, and why or why not."""

    kind: str
    title: str
    fit: Fit
    reason: str

    @property
    def name(self) -> str:
        """What stands in a column."""
        return short_name(self.kind, self.title)

    @property
    def said(self) -> str:
        """The whole of it in a sentence."""
        lead = {"pick": "recommended, ", "possible": "", "impossible": "not here, for "}[self.fit]
        return f"{self.title}: {lead}{_lowered(self.reason)}"


def short_name(kind: str, title: str) -> str:
    """The title, or where that is too long for a column the letters by which the method is known."""
    if len(title) <= NAME:
        return title
    *words, letters = kind.split("_")
    return " ".join([*map(str.capitalize, words), letters.upper()])


def objective_lines(state: WizardState, kind: RowKind | None) -> list[Line]:
    """Every objective, judged by the goal and rows of `kind`: the pick, the possible ones, those that lack something.
    """
    return [
        Line(way.objective, OBJECTIVES[way.objective].title, way.fit,
             way.reason + (f"; it needs {way.needs}" if way.needs else ""))
        for way in ways(state.draft.goal.task, kind)
    ]


def adapter_lines(state: WizardState, kinds: Sequence[str]) -> list[Line]:
    """These adapters, judged for the recipe as asked: what the planner filled follows the adapter, but the objective
    is what the rows lead to.
    """
    recipe = state.asked
    if state.resolved:
        recipe = recipe.model_copy(update={"objective": state.resolved.objective})
    return [
        Line(each.adapter, ADAPTERS[each.adapter].title, each.fit, each.reason)
        for each in adapter_choices(recipe, kinds)
    ]


def grouped(state: WizardState, section: Section) -> dict[str, list[Line]]:
    """The methods of a section in the groups in which they are chosen."""
    if section == "adapter":
        return {family: adapter_lines(state, kinds) for family, kinds in FAMILIES.items() if kinds}
    lines = objective_lines(state, state.profile.kind if state.profile else None)
    return {
        "For your goal and rows": [line for line in lines if line.fit != "impossible"],
        "Not with these rows": [line for line in lines if line.fit == "impossible"],
    }


def row(section: Section, line: Line, now: str) -> Row:
    """A line as a row of a table whose keys are `section:kind`."""
    mark = "●" if line.kind == now else "✗" if line.fit == "impossible" else "○"
    said = line.reason[0].upper() + line.reason[1:]
    title, reason = Content(line.name), Content(f"★ {said}" if line.fit == "pick" else said)
    if line.fit == "impossible":
        title, reason = title.stylize("dim"), reason.stylize("dim")
    return Row(f"{section}:{line.kind}", (mark, title, reason))


def _lowered(text: str) -> str:
    """Begun small, unless it begins with a name."""
    return text if text[1:2].isupper() else text[0].lower() + text[1:]


class SearchLine(Input):
    """A line to search in, in which ? is no letter but the card's key."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return character != "?" and super().check_consume_key(key, character)


class MethodPick(ModalScreen[str | None]):
    """Type to search, enter takes the row under the cursor, ? shows its card; dismissed with its kind."""

    CSS_PATH = "methods.tcss"
    BINDINGS = [
        Binding("escape", "dismiss(None)", "Back"),
        Binding("question_mark", "card", "Card", priority=True, tooltip="All that is known of the method"),
    ]

    def __init__(self, title: str, section: Section, groups: Mapping[str, Sequence[Line]], now: str) -> None:
        super().__init__()
        self._title, self._section, self._groups, self._now = title, section, groups, now

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield SearchLine(placeholder="type to search", compact=True)
            yield ChoiceTable(Column("", 1), Column("", NAME), Column(""), header=False)
            yield Static(id="reason")
            yield Static("↓ to the list, enter takes it, ? shows its card, escape leaves all as it is.", classes="hint",
                         markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._list()

    @on(Input.Changed)
    def _list(self) -> None:
        words = self.query_one(Input).value.lower().split()
        rows: list[Row] = []
        for group, lines in self._groups.items():
            found = [each for each in lines if all(word in f"{each.kind} {each.title} {each.reason} {group}".lower()
                                                   for word in words)]
            if found:
                rows += [Row(None, (group,)), *(row(self._section, each, self._now) for each in found)]
        table = self.query_one(ChoiceTable)
        table.show(rows, at=None if words else f"{self._section}:{self._now}")
        if words and table.keys:
            # What is called so comes before what only mentions it.
            titles = {f"{self._section}:{each.kind}": f"{each.kind} {each.title}".lower()
                      for lines in self._groups.values() for each in lines}
            table.move(next((key for key in table.keys if all(w in titles[key] for w in words)), table.keys[0]))
        self._say()

    def _line(self) -> Line | None:
        kind = (self.query_one(ChoiceTable).key or "").partition(":")[2]
        return next((each for lines in self._groups.values() for each in lines if each.kind == kind), None)

    @on(ChoiceTable.Moved)
    def _say(self) -> None:
        line = self._line()
        self.query_one("#reason", Static).update(Content(line.said if line else "Nothing here is called so."))

    @on(ChoiceTable.Picked)
    @on(Input.Submitted)
    def _picked(self) -> None:
        line = self._line()
        if line is not None and line.fit != "impossible":
            self.dismiss(line.kind)

    def action_card(self) -> None:
        if line := self._line():
            from ftui.recipe.cards import card

            from ..method_card import MethodCard

            self.app.push_screen(MethodCard(card(self._section, line.kind)))

    def on_key(self, event: Key) -> None:
        if event.key == "down" and self.query_one(Input).has_focus:
            event.stop()
            self.query_one(ChoiceTable).focus()
