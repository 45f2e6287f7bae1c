"""The glossary: every term in two sentences, with who says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from .page import Page
from .widgets.static import Static

if TYPE_CHECKING:
    from ftui.glossary import Term


class GlossaryScreen(Page[None]):
    """A list of terms with a search over names and texts; `term` is shown first."""

    TITLE = "glossary"
    CSS_PATH = "glossary.tcss"
    BINDINGS = [
        # With priority, for every screen scrolls by these keys, too.
        Binding("down", "move(1)", "Next", priority=True, show=False, tooltip="The next term"),
        Binding("up", "move(-1)", "Previous", priority=True, show=False, tooltip="The term before"),
        Binding("question_mark", "back", show=False),
    ]

    def __init__(self, term: str | None = None) -> None:
        super().__init__()
        self._term = term
        self._shown: list[Term] = []

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="type to search", compact=True, id="search")
        with Horizontal():
            yield OptionList(compact=True, id="terms")
            with VerticalScroll():
                yield Static(id="text", markup=False)

    def on_mount(self) -> None:
        from ftui.glossary import look_up

        self.say(next="Type to search, up and down choose, escape goes back.")
        self.query_one(Input).focus()
        found = look_up(self._term) if self._term else None
        self._list("", found.name if found else None)

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, search: str, at: str | None = None) -> None:
        """Terms whose name begins with the search, then those that have it in their name, then in their text."""
        from ftui.glossary import TERMS

        wanted = search.casefold().strip()
        found = [(rank, term) for term in TERMS if (rank := _rank(term, wanted)) is not None]
        self._shown = [term for _, term in sorted(found, key=lambda pair: (pair[0], pair[1].name.casefold()))]
        terms = self.query_one("#terms", OptionList)
        terms.set_options([Option(Content(term.name)) for term in self._shown])
        self.say(status=f"{len(self._shown)} terms")
        names = [term.name for term in self._shown]
        terms.highlighted = (names.index(at) if at in names else 0) if names else None
        if not names:
            self.query_one("#text", Static).update(f"Nothing here has {search!r} in it.")

    @on(OptionList.OptionHighlighted)
    def _explain(self, event: OptionList.OptionHighlighted) -> None:
        term = self._shown[event.option_index]
        also = (f"  (also: {', '.join(term.also)})", "dim") if term.also else ""
        self.query_one("#text", Static).update(Content.assemble(
            (term.name, "bold"), also, "\n\n", Content(term.text), "\n\n", (f"Source: {term.source}", "dim"),
        ))

    def action_move(self, by: int) -> None:
        terms = self.query_one("#terms", OptionList)
        if self._shown:
            terms.highlighted = min(max((terms.highlighted or 0) + by, 0), len(self._shown) - 1)


def _rank(term: Term, wanted: str) -> int | None:
    name = term.name.casefold()
    if name.startswith(wanted):
        return 0
    if wanted in name or any(wanted in other.casefold() for other in term.also):
        return 1
    return 2 if wanted in term.text.casefold() else None
