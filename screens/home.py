"""The home screen: what this machine can do, the runs, the presets, and the way into a new run."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content

from . import lookups
from .background import Problem, attempt_for
from .memory import recall
from .messages import NewRun, RateAnswers, WatchRun
from .page import Page
from .widgets.choice_table import ChoiceTable, Column, Row
from .widgets.static import Static

REFRESH_SECONDS = 2.0
MOST_RUNS = 8


class HomeScreen(Page[None]):
    """Reads nothing before its first paint; the machine, the presets and the runs follow from threads."""

    TITLE = "fine-tune a language model"
    BINDINGS = [
        Binding("n", "new", "New run", id="home.new", tooltip="Open the wizard"),
        Binding("d", "demo", "Demo", id="home.demo", tooltip="The wizard on the embedded tiny model and its data"),
        Binding("a", "rate", "Rate answers", show=False, tooltip="Say which of two answers is better: pairs for DPO"),
        Binding("r", "app.push_screen('runs')", "Runs", id="home.runs", tooltip="List, stop, resume, delete runs"),
        Binding("ctrl+o", "app.command_palette", "Commands", id="home.commands", tooltip="Search every command"),
        Binding("ctrl+q", "app.quit", "Quit", id="home.quit", tooltip="Leave; runs go on"),
        *(Binding(str(n), f"preset({n})", f"Preset {n}", show=False, tooltip="Review it") for n in range(1, 10)),
    ]

    def compose_body(self) -> ComposeResult:
        yield Static("reading the machine …", id="machine")
        yield ChoiceTable(Column("", 1), Column("", 24), Column(""), header=False, id="choices")

    def on_mount(self) -> None:
        self._presets: list[Row] = [Row(None, ("Presets",)), Row(None, (_muted("seeing which of them fit …"),))]
        self._runs: list[Row] = []
        self._show()
        self.query_one(ChoiceTable).focus()
        # The first paint waits for no probe: imports included, everything else happens in threads after it.
        self.call_after_refresh(self._read)

    def on_screen_resume(self) -> None:
        self._show()

    def _read(self) -> None:
        self._read_machine()
        self._read_runs()
        self.set_interval(REFRESH_SECONDS, self._read_runs)

    @work(exclusive=True, group="machine")
    async def _read_machine(self) -> None:
        hardware = await attempt_for(self, lookups.probe)
        if isinstance(hardware, Problem):
            self.query_one("#machine", Static).update(f"! {hardware.what}")
            return
        from .home_facts import machine_lines, preset_rows

        self.query_one("#machine", Static).update(Content("\n").join(machine_lines(hardware)))
        rows = await attempt_for(self, preset_rows, hardware)
        shown = [Row(None, (_muted(rows.what),))] if isinstance(rows, Problem) else rows
        self._presets = [Row(None, ("Presets, with the model each names",)), *shown]
        self._show()

    @work(exclusive=True, group="runs")
    async def _read_runs(self) -> None:
        if not self.is_current:
            return
        rows = await attempt_for(self, _runs)
        if isinstance(rows, Problem):
            rows = [Row(None, (_muted(f"{rows.what} {rows.hint}"),))]
        if rows != self._runs:
            self._runs = rows
            self._show()

    def _show(self) -> None:
        """Draw what is known; rows that stay keep the cursor where it is."""
        rows = []
        if left := recall("wizard.json"):
            at = f"the unfinished run, at its step {left.get('step', '')}"
            rows.append(Row("resume", ("↩", "Go on where you left", at)))
        rows += [
            Row("new", ("n", "New run", "what fits your model and data, and why")),
            Row("demo", ("d", "Try the demo", "the whole way in minutes, on any machine")),
            Row("rate", ("a", "Rate answers", "two side by side, blind: pairs for DPO")),
        ]
        if self._runs:
            rows += [Row(None, ("Runs",)), *self._runs]
        self.query_one(ChoiceTable).show([*rows, *self._presets])
        first = "Enter opens what the cursor is on." if self._runs or left else (
            "New here? Press d: the demo goes the whole way in a few minutes."
        )
        self.say(next=first)

    @on(ChoiceTable.Moved)
    def _moved(self, event: ChoiceTable.Moved) -> None:
        kind, _, name = event.key.partition(":")
        commands = {
            "run": f"ftui watch {name}", "preset": f"ftui launch {name}", "demo": "ftui demo",
            "rate": "ftui data rate FILE",
        }  # fmt: skip
        self.say(command=commands.get(kind, "ftui"))

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        self._open(event.key)

    def _open(self, key: str) -> None:
        kind, _, name = key.partition(":")
        if kind == "run":
            self.post_message(WatchRun(name))
        elif kind == "rate":
            self.post_message(RateAnswers())
        else:
            preset = name if kind == "preset" else None
            self.post_message(NewRun(demo=kind == "demo", preset=preset, resume=kind == "resume"))

    def action_new(self) -> None:
        self._open("new")

    def action_rate(self) -> None:
        self._open("rate")

    def action_demo(self) -> None:
        self._open("demo")

    def action_preset(self, number: int) -> None:
        """Open the preset that carries this number."""
        keys = [row.key for row in self._presets if row.key is not None]
        if number <= len(keys):
            self._open(keys[number - 1])


def _muted(text: str) -> Content:
    return Content.styled(f"   {text}", "dim")


def _runs() -> list[Row]:
    from .home_facts import run_rows

    return run_rows(MOST_RUNS)
