"""Small questions on top of a screen: they return their answer through `dismiss`, None when left with escape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ftui.units import plain

from .widgets.static import Static


class Pick(ModalScreen[str | None]):
    """One of several values, each with a word on what it means."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, title: str, values: Mapping[str, str], at: str | None = None) -> None:
        """`values` maps each value to its meaning (or ""), `at` is the one to start on."""
        super().__init__()
        self._title, self._values, self._at = title, values, at

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield OptionList(*(Option(self._line(value), id=value) for value in self._values), compact=True)
            yield Static("Enter chooses, escape leaves it as it is.", classes="hint")

    def _line(self, value: str) -> Content:
        widest = max(len(each) for each in self._values)
        return Content.assemble(f"{value:<{widest}}", "  ", Content(self._values[value]).stylize("dim"))

    def on_mount(self) -> None:
        if self._at is not None and self._at in self._values:
            self.query_one(OptionList).highlighted = list(self._values).index(self._at)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)


class Confirm(ModalScreen[bool]):
    """A yes-or-no question; enter and y say yes, escape and n say no."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [
        Binding("enter,y", "dismiss(True)", "Yes"),
        Binding("escape,n", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, details: str = "") -> None:
        super().__init__()
        self._question, self._details = question, details

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="title", markup=False)
            yield Static(self._details, markup=False)
            yield Static("[@click=screen.dismiss(True)]y  yes[/]     [@click=screen.dismiss(False)]n  no[/]")


class Ask(ModalScreen[str | None]):
    """One line of text, completed where it is one of the `paths` to data files."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, title: str, value: str = "", hint: str = "", paths: bool = False) -> None:
        super().__init__()
        self._title, self._value, self._hint, self._paths = title, value, hint, paths

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Input(self._value, compact=True, suggester=self._suggester())
            yield Static(self._hint, classes="hint", markup=False)

    def _suggester(self) -> Suggester | None:
        from .widgets.path_input import PathSuggester

        return PathSuggester() if self._paths else None

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class MapColumns(ModalScreen[dict[str, str] | None]):
    """Which column of the data plays which role: a line for each role, completed from the columns that there are."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel"), Binding("f10", "done", "Done")]

    def __init__(
        self, title: str, roles: Mapping[str, str], columns: Sequence[str], required: Sequence[str] = ()
    ) -> None:
        """`roles` maps each role to the column it has now (or ""), `columns` are the data's own."""
        super().__init__()
        self._title, self._roles, self._columns, self._required = title, roles, columns, required

    def compose(self) -> ComposeResult:
        from textual.suggester import SuggestFromList

        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Static(Content.assemble(("columns  ", "dim"), Content(plain(", ".join(self._columns)))))
            for role, column in self._roles.items():
                with Horizontal(classes="field"):
                    yield Static(role, classes="label", markup=False)
                    suggester = SuggestFromList(self._columns, case_sensitive=False)
                    yield Input(column, compact=True, name=role, suggester=suggester, placeholder="no column")
            yield Static("", id="wrong", markup=False)
            hint = "Enter is done once the first roles have their column; tab goes on to the others."
            yield Static(hint, classes="hint")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        empty = [each for each in self.query(Input) if each.name in self._required and not each.value.strip()]
        if empty:
            empty[0].focus()
        else:
            self.action_done()

    def action_done(self) -> None:
        mapping = {str(each.name): each.value.strip() for each in self.query(Input) if each.value.strip()}
        unknown = [column for column in mapping.values() if column not in self._columns]
        missing = [role for role in self._required if role not in mapping]
        if unknown:
            self.query_one("#wrong", Static).update(f"The data has no column {unknown[0]!r}.")
        elif missing:
            self.query_one("#wrong", Static).update(f"The role {missing[0]!r} needs a column.")
        else:
            self.dismiss(mapping)
