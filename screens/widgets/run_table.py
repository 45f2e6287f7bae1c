"""`RunTable`: one line per run, drawn only for the lines in sight, so that 2,000 runs cost what 20 do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ftui.runs.choosing import Order
from ftui.runs.comparing import MOST
from ftui.runs.facts import Facts

from ..monitor_words import tone
from .run_table_columns import MARK, cell, cells, columns, has_tags, title

MUTED = ("age", "took", "method", "model", "tag", "speed")


class RunTable(ScrollView, can_focus=True):
    """Runs in the order that they are given; the cursor stays on its run when others come and go.

    Up to eight can be marked, for what is done to several.
    """

    BINDINGS = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "to(0)", "First run", show=False),
        Binding("end", "to(-1)", "Last run", show=False),
        Binding("enter", "choose", "Watch", tooltip="Open the monitor of this run"),
        Binding("space", "mark", "Mark", show=False, tooltip="Mark it, or take the mark away: up to eight at once"),
    ]
    COMPONENT_CLASSES = {
        "run-table--header", "run-table--cursor", "run-table--muted", "run-table--primary", "run-table--success",
        "run-table--warning", "run-table--error",
    }
    DEFAULT_CSS = """
    RunTable {
        height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; overflow-x: hidden;
        & > .run-table--header { text-style: bold; }
        & > .run-table--cursor { background: $primary 25%; }
        &:focus > .run-table--cursor { background: $primary 60%; text-style: bold; }
        & > .run-table--muted { color: $foreground 60%; }
        & > .run-table--primary { color: $text-primary; }
        & > .run-table--success { color: $text-success; }
        & > .run-table--warning { color: $text-warning; }
        & > .run-table--error { color: $text-error; }
        &:ansi > .run-table--muted { color: ansi_default; text-style: dim; }
        &:ansi > .run-table--cursor { background: ansi_default; text-style: reverse; }
    }
    """
    cursor: reactive[int] = reactive(0)

    @dataclass
    class Chosen(Message):
        """Enter was pressed, or a run clicked a second time."""

        run: Facts

    @dataclass
    class Moved(Message):
        """The cursor stands on another run, or on none."""

        run: Facts | None

    @dataclass
    class Marked(Message):
        """A mark was set or taken away; or there were `too_many` for another."""

        too_many: bool = False

    @dataclass
    class Headed(Message):
        """The head of a column was clicked."""

        column: str

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._runs: Sequence[Facts] = ()
        self._order = Order()
        self._tags = False
        self.marked: list[str] = []
        """The ids of the marked runs, in the order in which they were."""

    @property
    def current(self) -> Facts | None:
        """The run under the cursor."""
        return self._runs[self.cursor] if self.cursor < len(self._runs) else None

    @property
    def in_sight(self) -> Sequence[Facts]:
        """The runs whose lines are drawn now."""
        top = self.scroll_offset.y
        return self._runs[top : top + max(self.size.height - 1, 1)]

    def show(self, runs: Sequence[Facts], order: Order) -> None:
        """Show these runs, which are in this order."""
        at, drawn = self.current, (self.in_sight, self._order, self._tags)
        self._runs, self._order, self._tags = runs, order, has_tags(runs)
        size = Size(self.scrollable_content_region.width, len(runs) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        if at is not None:
            place = next((n for n, facts in enumerate(runs) if facts.run.id == at.run.id), self.cursor)
            self.cursor = min(place, max(len(runs) - 1, 0))
        if self.current is not at:
            self.post_message(self.Moved(self.current))
        if drawn != (self.in_sight, order, self._tags):
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        widths = columns(width, self._order, tags=self._tags)
        if y == 0:
            head = "".join(cell(title(name, self._order), size) for name, size in widths.items())
            return Strip([Segment(head, self._style("header"))]).adjust_cell_length(width, self.rich_style)
        row = self.scroll_offset.y + y - 1
        if row >= len(self._runs):
            return Strip.blank(width, self.rich_style)
        facts = self._runs[row]
        base = self._style("cursor") if row == self.cursor else self.rich_style
        state = facts.status.state if facts.status else None
        colours = dict.fromkeys(MUTED, self._style("muted"))
        colours |= {"state": self._style(tone(state) if state else "muted"), "mark": self._style("primary")}
        told = cells(facts) | {"mark": MARK if facts.run.id in self.marked else ""}
        segments = [
            Segment(cell(told[name], size), base if row == self.cursor else colours.get(name, base))
            for name, size in widths.items()
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"run-table--{name}")

    def watch_cursor(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 2), animate=False, force=True)
        self.post_message(self.Moved(self.current))
        self.refresh()

    def validate_cursor(self, place: int) -> int:
        return min(max(place, 0), max(len(self._runs) - 1, 0))

    def action_move(self, by: int) -> None:
        self.cursor += by

    def action_page(self, by: int) -> None:
        self.cursor += by * max(self.size.height - 2, 1)

    def action_to(self, place: int) -> None:
        self.cursor = place if place >= 0 else len(self._runs) - 1

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away, and go on to the next."""
        if self.current is None:
            return
        run_id = self.current.run.id
        if run_id in self.marked:
            self.marked.remove(run_id)
        elif len(self.marked) >= MOST:
            self.post_message(self.Marked(too_many=True))
            return
        else:
            self.marked.append(run_id)
        self.cursor += 1
        self.refresh()
        self.post_message(self.Marked())

    def unmark(self) -> None:
        """Take every mark away."""
        self.marked.clear()
        self.refresh()
        self.post_message(self.Marked())

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y - 1
        if event.y == 0:
            self._click_head(event.x - 1)
            return
        if row >= len(self._runs):
            return
        again = row == self.cursor
        self.cursor = row
        if again:
            self.action_choose()

    def _click_head(self, x: int) -> None:
        for name, size in columns(self.scrollable_content_region.width, self._order, tags=self._tags).items():
            if 0 <= x < size and name != "mark":
                self.post_message(self.Headed("step" if name == "done" else name))
            x -= size
