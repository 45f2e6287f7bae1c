"""The runs of this home: how each stands, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Input

from ftui.runs import control
from ftui.runs.folder import Run
from ftui.units import plain

from .background import Problem, attempt
from .dialogs import Confirm
from .page import Page
from .runs_list import RunsList
from .widgets.run_table import RunTable
from .widgets.static import Static

LOOK_SECONDS = 1.0
EMPTY = "There are no runs yet.  n opens the wizard, or: ftui launch cpu-demo"


class RunsScreen(Page[None]):
    """A live table; only the lines in sight, and what has changed, are read."""

    TITLE = "runs"
    ABOUT = "Every run of this home, newest first. Enter opens a run's monitor."
    CSS_PATH = "runs.tcss"
    BINDINGS = [
        Binding("slash", "filter", "Filter", id="runs.filter", key_display="/", tooltip="By name, kind, preset, state"),
        Binding("t", "stop", "Stop", id="runs.stop", tooltip="Stop this run at its next step; everything is saved"),
        Binding("r", "resume", "Resume", id="runs.resume", tooltip="Go on from its last checkpoint"),
        Binding("d", "delete", "Delete", id="runs.delete", tooltip="Remove it with its checkpoints and its result"),
        Binding("n", "new", "New run", show=False, tooltip="Open the wizard"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._list = RunsList()
        self._looking = False

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="name, kind, preset or state", compact=True, id="filter")
        yield RunTable(id="table")
        yield Static("Reading the runs …", id="empty", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).display = False
        self.query_one(RunTable).focus()
        self.say(command="ftui runs")
        self.set_interval(LOOK_SECONDS, self._tick)
        self._tick()

    def on_screen_resume(self) -> None:
        self._tick()

    def _tick(self) -> None:
        if not self._looking and self.is_current:
            self._looking = True
            self.run_worker(self._look(), group="look")

    async def _look(self) -> None:
        try:
            changed = await attempt(self._list.look, self.query_one(RunTable).in_sight)
            if self.app.is_running and self.is_current:
                if isinstance(changed, Problem):
                    self.query_one("#empty", Static).update(f"{changed.what}\n{changed.hint}")
                elif changed:
                    self._show()
                else:
                    self._say_empty()
        finally:
            self._looking = False

    def _show(self) -> None:
        words = self.query_one(Input).value.lower().split()
        runs = [known for known in self._list.runs if known.matches(words)]
        live = sum(known.status is not None and known.status.live for known in self._list.runs)
        total = len(self._list.runs)
        self.query_one(RunTable).show(runs)
        self.say(status=f"{len(runs)} of {total}" if words else f"{total} run{'' if total == 1 else 's'}, {live} live")
        self._say_empty()
        self._explain()

    def _say_empty(self) -> None:
        """A sentence in place of an empty table."""
        table, empty = self.query_one(RunTable), self.query_one("#empty", Static)
        none = table.current is None
        empty.display = none
        if none:
            empty.update("No run fits the filter; escape clears it." if self._list.runs else EMPTY)

    @on(RunTable.Moved)
    def _explain(self) -> None:
        """What the run under the cursor says, and what can be done with it."""
        if set(self.query_one(RunTable).in_sight) & {known.run.id for known in self._list.runs if not known.status}:
            self._tick()
        known = self.query_one(RunTable).current
        if known is None or known.status is None:
            self.say(next="", command="ftui runs")
        else:
            hint = f"  {known.status.hint}" if known.status.hint and known.status.over else ""
            self.say(next=plain(known.status.text + hint).replace("\n", " "), command=f"ftui watch {known.run.id}")
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action not in ("stop", "resume", "delete"):
            return super().check_action(action, parameters)
        known = self.query_one(RunTable).current if self.is_mounted else None
        if known is None or known.status is None:
            return False
        if action == "resume":
            return known.status.over and known.status.state != "finished"
        return known.status.live if action == "stop" else not known.status.live

    @on(RunTable.Chosen)
    def _watch(self, event: RunTable.Chosen) -> None:
        from .monitor import MonitorScreen

        self.app.push_screen(MonitorScreen(event.run.run.id))

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.display = True
        field.focus()

    @on(Input.Changed)
    def _filtered(self) -> None:
        self._show()

    @on(Input.Submitted)
    def _filter_done(self, event: Input.Submitted) -> None:
        event.input.display = bool(event.value)
        self.query_one(RunTable).focus()

    def action_back(self) -> None:
        """Escape clears the filter first."""
        field = self.query_one(Input)
        if field.display:
            field.value = ""
            field.display = False
            self.query_one(RunTable).focus()
        else:
            super().action_back()

    def action_new(self) -> None:
        self.app.new_run()  # type: ignore[attr-defined]  # the app's own, which this screen can't import

    def action_stop(self) -> None:
        self._do(control.stop, "{} saves and stops at its next step.")

    def action_resume(self) -> None:
        self._do(control.resume, "{} goes on from its last checkpoint.")

    @work
    async def action_delete(self) -> None:
        known = self.query_one(RunTable).current
        if known is None:
            return
        result = " with its result" if known.run.output.exists() else ""
        question = f"Remove the run {known.run.info.name}{result}?"
        if await self.app.push_screen_wait(Confirm(question, f"{known.run.path}\nThis can't be undone.")):
            self._do(control.delete, "{} was removed.", known.run)

    @work(group="do")
    async def _do(self, function: Callable[[Run], object], said: str, run: Run | None = None) -> None:
        """Do something to a run (default: the one under the cursor), and say that it was done, or why not."""
        known = self.query_one(RunTable).current
        run = run or (known.run if known else None)
        if run is None:
            return
        name = plain(run.info.name)
        outcome = await attempt(function, run)
        self._list.forget(run.id)
        if isinstance(outcome, Problem):
            self.notify(outcome.hint, title=outcome.what, severity="error", timeout=8, markup=False)
        else:
            self.notify(said.format(name), timeout=4, markup=False)
        self._tick()
