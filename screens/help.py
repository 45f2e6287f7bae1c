"""The help of a page: its keys, made from its bindings, so that it can't say anything else than they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ActiveBinding, Screen

from .page import Page
from .widgets.static import Static

MOUSE = "Everything that has a key can be clicked; the wheel scrolls lists and zooms charts."
TERMINAL = "Closing the terminal ends this window only: runs go on, and `ftui` finds them again."

SHARED = {key for shared in (Page, Screen) for bound in shared.BINDINGS if isinstance(bound, Binding)
          for key in bound.key.split(",")}
"""Keys that every page has."""


@dataclass
class Entry:
    """One action with all its keys."""

    description: str
    tooltip: str
    keys: list[str] = field(default_factory=list)


class HelpScreen(Page[None]):
    """The keys of the screen below (or of the one given), grouped by what they are about."""

    TITLE = "help"
    DEFAULT_CSS = """
    HelpScreen VerticalScroll { height: 1fr; padding: 1; scrollbar-size-vertical: 1; }
    HelpScreen Static#keys { height: auto; }
    """
    BINDINGS = [Binding("g", "glossary", "Glossary", tooltip="Every term in two sentences")]

    def __init__(self, page: Screen[Any] | None = None) -> None:
        super().__init__()
        self._page = page

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="keys")

    def on_mount(self) -> None:
        page = self._page or next((s for s in reversed(self.app.screen_stack) if s is not self), self)
        title = getattr(page, "TITLE", None) or type(page).__name__
        self.say(status=f"keys of the page: {title}", next="Escape goes back; g opens the glossary; F2 every command.")
        self.query_one(VerticalScroll).focus()
        parts: list[Any] = [Text(str(page.ABOUT)), Text()] if hasattr(page, "ABOUT") else []
        for name, entries in grouped(page, self.app).items():
            parts += [Text(name, "bold"), _table(entries), Text()]
        self.query_one("#keys", Static).update(Group(*parts, Text(f"{MOUSE}\n{TERMINAL}", "dim")))

    def action_glossary(self) -> None:
        from .glossary import GlossaryScreen

        self.app.push_screen(GlossaryScreen())

    def action_explain(self) -> None:
        """Help on help is this very page."""

    action_help = action_explain


def grouped(page: Screen[Any], app: App[Any]) -> dict[str, list[Entry]]:
    """The page's active bindings by group: those of a named group, the page's own, the focused widget's, the app's."""
    groups: dict[str, dict[str, Entry]] = {}
    for active in page.active_bindings.values():
        binding = active.binding
        if not binding.description or binding.system:
            continue
        entries = groups.setdefault(_group(active, page, app), {})
        entry = entries.setdefault(binding.action, Entry(binding.description, active.tooltip or ""))
        key = app.get_key_display(binding)
        if key not in entry.keys:
            entry.keys.append(key)
    last = ("Here", "Everywhere")
    order = sorted(groups, key=lambda name: last.index(name) if name in last else -1)
    return {name: list(groups[name].values()) for name in order}


def _group(active: ActiveBinding, page: Screen[Any], app: App[Any]) -> str:
    if active.binding.group is not None and active.binding.group.description:
        return active.binding.group.description
    if active.node is app or active.binding.key in SHARED:
        return "Everywhere"
    # What the focused widget brings along (a list's arrows) comes after what the page and its parts are for.
    return "Here" if active.node is page.focused else "This page"


def _table(entries: list[Entry]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold", min_width=8, justify="right")
    table.add_column(no_wrap=True, min_width=16)
    table.add_column(style="dim")
    for entry in entries:
        tooltip = "" if entry.tooltip == entry.description else entry.tooltip
        table.add_row(Text(" ".join(entry.keys)), Text(entry.description), Text(tooltip))
    return table
