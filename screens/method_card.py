"""A method's card: all that its row declares, behind `?`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from .widgets.static import Static

if TYPE_CHECKING:
    from ftui.recipe.cards import Card

LABEL = 11
"""Columns of the facts' labels."""


class MethodCard(ModalScreen[None]):
    """One objective or adapter; the arrows scroll, escape goes back."""

    CSS_PATH = "method_card.tcss"
    BINDINGS = [Binding("escape,question_mark,enter", "dismiss(None)", "Back")]

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card

    def compose(self) -> ComposeResult:
        card = self._card
        with Vertical(classes="dialog"):
            yield Static(f"{card.title}  {card.section}.kind: {card.kind}", classes="title", markup=False)
            with VerticalScroll():
                yield Static(Content(card.when), classes="when")
                for label, text in (*card.facts, ("source", card.source)):
                    yield Static(Content.assemble((f"{label:<{LABEL}}", "dim"), Content(text)), classes="fact")
                if card.settings:
                    yield Static(Content.styled("Settings", "bold"), classes="when")
                for setting in card.settings:
                    said = (setting.title, "$text-accent"), "  ", Content(f"{setting.help} {setting.why}")
                    yield Static(Content.assemble(*said), classes="fact")
            yield Static(
                f"↑ ↓ scroll, escape goes back.  ftui methods show {card.kind}", classes="hint", markup=False
            )

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
