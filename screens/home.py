"""The home screen: what this machine can do, the presets, the runs, and the way into a new one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Static

from .memory import recall
from .page import Page
from .widgets.choice_table import ChoiceTable, Column, Row

if TYPE_CHECKING:
    from ftui.hardware.document import Hardware

REFRESH_SECONDS = 2.0
RECENT = 8


class HomeScreen(Page[None]):
    """Reads nothing before its first paint; the machine, the presets and the runs follow from threads."""

    TITLE = "home"
    CSS_PATH = "home.tcss"
    BINDINGS = [
        Binding("n", "new", "New run", id="home.new", tooltip="Open the wizard"),
        Binding("d", "demo", "Demo", id="home.demo", tooltip="The wizard on the embedded tiny model and its data"),
        Binding("r", "runs", "Runs", id="home.runs", tooltip="List, stop, resume and delete runs"),
        Binding("ctrl+q", "app.quit", "Quit", id="home.quit", tooltip="Leave; runs go on"),
        Binding("1,2,3,4,5,6,7,8,9", "preset", "Preset", show=False, tooltip="Open the preset of this number"),
    ]

    def compose_body(self) -> ComposeResult:
        yield Static("reading the machine …", id="machine")
        yield ChoiceTable(Column("", 3), Column("", 26), Column(""), header=False, id="choices")

    def on_mount(self) -> None:
        self._presets: list[Row] = []
        self._runs: list[Row] = []
        self._show()
        self.query_one(ChoiceTable).focus()
        self.say(next="Press n for a new run, or d to try everything on the tiny demo model.", command="ftui --help")
        # The first paint waits for no probe: imports included, everything else happens in threads after it.
        self.call_after_refresh(self._read)

    def _read(self) -> None:
        pass

    def _show(self) -> None:
        rows = [Row(None, ("Start",))]
        if left := recall("wizard.json"):
            rows.append(Row("resume", (" ", "Go on where you left", f"the wizard, at {left.get('step', 'its start')}")))
        rows += [
            Row("new", ("n", "New run", "choose a model and data; ftui works out what fits and why")),
            Row("demo", ("d", "Try the demo", "a tiny model and its data: the whole way in minutes, on any machine")),
        ]
        self.query_one(ChoiceTable).show(rows)
