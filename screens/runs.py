"""The runs of this home: how each stands, and what can be done with it."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Input

from ftui.errors import BadInput
from ftui.runs import choosing, trash
from ftui.runs.choosing import Filter, Order
from ftui.units import plain

from . import runs_words as words
from .background import Problem, attempt
from .dialogs import Pick
from .page import Page
from .runs_actions import RunsActions
from .runs_list import RunsList
from .widgets.run_table import RunTable
from .widgets.static import Static

LOOK_SECONDS = 1.0
AGE_SECONDS = 30.0
"""Ages grow on while nothing else changes."""
EMPTY = "There are no runs yet.  n opens the wizard, or: ftui launch cpu-demo"
FILTER_HINT = "words, or state:failed  tag:good  model:qwen  loss<1.2  age<3d  -word"


class RunsScreen(RunsActions, Page[None]):
    """A live table; only the lines in sight, and what has changed, are read."""

    TITLE = "runs"
    ABOUT = "Every run of this home, newest first. Enter opens its monitor; space marks several, to compare or delete."
    CSS_PATH = "runs.tcss"
    # The first that can be used now stand in the bar; all of them in the help.
    BINDINGS = [
        Binding("t", "stop", "Stop", id="runs.stop", tooltip="Stop this run at its next step; everything is saved"),
        Binding("r", "resume", "Resume", id="runs.resume", tooltip="Go on from its last checkpoint"),
        Binding("d", "delete", "Delete", id="runs.delete", tooltip="Remove it, or the marked ones; u brings them back"),
        Binding("slash", "filter", "Filter", id="runs.filter", key_display="/",
                tooltip="By name, kind, preset, state, and what they measured: state:failed tag:good loss<1.2"),
        Binding("R", "resume_in_turn", "Resume in turn", show=False,
                tooltip="Wait in the queue until a device is free, then go on from its last checkpoint"),
        Binding("s", "sort", "Sort", show=False, tooltip="By loss, best, state, model, method, speed, tags, ..."),
        Binding("S", "reverse", "Reverse", show=False, tooltip="The other end first"),
        Binding("c", "compare", "Compare", show=False, tooltip="Lay the marked runs over each other"),
        Binding("u", "undo", "Undo", show=False, tooltip="Bring back what was deleted last"),
        Binding("e", "free", "Free space", show=False, tooltip="Remove what was deleted for good now"),
        Binding("g", "tag", "Tags", show=False, tooltip="Put tags to this run, or the marked ones, or take them away"),
        Binding("w", "note", "Note", show=False, tooltip="Write a note to this run"),
        Binding("n", "new", "New run", show=False, tooltip="Open the wizard"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._list = RunsList()
        self._looking = False
        self._filter, self._order = Filter(), Order()
        self._status = ""
        self._told: tuple[object, ...] = ()
        """What the lines of the frame say: only a change is drawn."""

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder=FILTER_HINT, compact=True, id="filter")
        yield Static("", id="wrong", markup=False)
        yield RunTable(id="table")
        yield Static("Reading the runs …", id="empty", markup=False)
        yield Static("", id="deleted", markup=False)

    def on_mount(self) -> None:
        for hidden in ("#filter", "#wrong", "#deleted"):
            self.query_one(hidden).display = False
        self._table.focus()
        self.say(command="ftui runs")
        self.set_interval(LOOK_SECONDS, self._tick)
        self.set_interval(AGE_SECONDS, self._table.refresh)
        self.run_worker(attempt(trash.sweep), group="sweep")
        self._tick()

    def on_screen_resume(self) -> None:
        self._tick()

    def _tick(self) -> None:
        if not self._looking and self.is_current:
            self._looking = True
            self.run_worker(self._look(), group="look")

    async def _look(self) -> None:
        try:
            depth = max(self._filter.depth, self._order.asked.depth)
            changed = await attempt(self._list.look, [facts.run.id for facts in self._table.in_sight], depth)
            if self.app.is_running and self.is_current:
                if isinstance(changed, Problem):
                    self.query_one("#empty", Static).update(f"{changed.what}\n{changed.hint}")
                elif changed:
                    self._show()
                else:
                    self._say_empty()
        finally:
            self._looking = False
        if self._list.more and self.app.is_running:
            self._tick()

    def _show(self) -> None:
        runs, table = self._list.runs, self._table
        shown = self._order.sorted(facts for facts in runs if self._filter.fits(facts))
        if table.marked:
            there = {facts.run.id for facts in runs}
            table.marked[:] = [run_id for run_id in table.marked if run_id in there]
        table.show(shown, self._order)
        depth = max(self._filter.depth, self._order.asked.depth)
        filtered = bool(self._filter.terms)
        unread = self._list.unread(depth)
        self._status = words.status(len(shown), runs, unread, filtered=filtered, order=self._order)
        self._say_empty()
        self._explain()

    def _say_empty(self) -> None:
        """A sentence in place of an empty table; and what can be brought back."""
        empty, deleted = self.query_one("#empty", Static), self.query_one("#deleted", Static)
        none = self._table.current is None
        empty.display = none
        if none and not self._list.more:
            empty.update("No run fits the filter; escape clears it." if self._list.runs else EMPTY)
        deleted.display = bool(self._list.asides)
        if (said := words.deleted(self._list.asides)) != deleted.content:
            deleted.update(said)

    @on(RunTable.Moved)
    def _explain(self) -> None:
        """What the run under the cursor says, and what can be done with it."""
        table = self._table
        if any(facts.status is None for facts in table.in_sight):
            self._tick()
        facts, marked = table.current, len(table.marked)
        doing = "c compares them, " if marked > 1 else "mark more to compare; "
        said = f"{marked} marked: {doing}d deletes, g tags, escape unmarks." if marked else ""
        told = (
            self._status, said or (words.about(facts) if facts else ""),
            words.command(facts, self.query_one("#filter", Input).value, self._order),
        )  # fmt: skip
        state = facts.status.state if facts and facts.status else None
        if (*told, state, bool(self._list.asides)) != self._told:
            self._told = (*told, state, bool(self._list.asides))
            self.say(status=told[0], next=told[1], command=told[2])
            self.refresh_bindings()

    @on(RunTable.Marked)
    def _marked(self, event: RunTable.Marked) -> None:
        if event.too_many:
            self.notify("Eight runs can be marked at once.", severity="warning", timeout=4)
        self._explain()

    @on(RunTable.Chosen)
    def _watch(self, event: RunTable.Chosen) -> None:
        from .monitor import MonitorScreen

        self.app.push_screen(MonitorScreen(event.run.run.id))

    # --- which runs, in which order

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        wrong = self.query_one("#wrong", Static)
        try:
            self._filter = choosing.parse(event.value)
        except BadInput as error:
            # Half-written, most often: the list stays as the last filter that could be read has it.
            wrong.update(plain(f"✗ {error.what} {error.hint or ''}"))
            wrong.display = True
            return
        wrong.display = False
        self._show()
        self._tick()

    @on(Input.Submitted, "#filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.input.display = bool(event.value)
        self._table.focus()

    def action_back(self) -> None:
        """Escape clears the filter first, then the marks."""
        field = self.query_one(Input)
        if field.display:
            field.value = ""
            field.display = False
            self._table.focus()
        elif self._table.marked:
            self._table.unmark()
        else:
            super().action_back()

    @work
    async def action_sort(self) -> None:
        values = {key: asked.about for key, asked in choosing.ASKED.items()}
        if (key := await self.app.push_screen_wait(Pick("Sort the runs by", values, at=self._order.key))) is not None:
            self._sort(Order(key))

    @on(RunTable.Headed)
    def _head(self, event: RunTable.Headed) -> None:
        """A click on the head of the column that it is sorted by turns it round."""
        self._sort(Order(event.column, event.column == self._order.key and not self._order.reversed))

    def action_reverse(self) -> None:
        self._sort(Order(self._order.key, not self._order.reversed))

    def _sort(self, order: Order) -> None:
        self._order = order
        self._show()
        # Who sorts looks for what comes first.
        self._table.action_to(0)
        self._tick()

    def action_new(self) -> None:
        self.app.new_run()  # type: ignore[attr-defined]  # the app's own, which this screen can't import
