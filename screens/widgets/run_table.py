"""`RunTable`: one line per run, drawn only for the lines in sight, so that 2,000 runs cost what 20 do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ftui.units import clock, plain

from ..monitor_axes import short
from ..monitor_words import SIGNS, tone
from ..runs_list import Known

WIDTHS = {"state": 13, "name": 0, "kind": 9, "step": 17, "loss": 8, "eval": 8, "started": 13, "took": 8}
"""Cells of each column; the name takes what is left."""
DROPPED = ("kind", "took")
"""What goes first where the room is short."""
LEAST_NAME = 18


class RunTable(ScrollView, can_focus=True):
    """The newest run first; the cursor stays on its run when others come and go."""

    BINDINGS = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "to(0)", "First run", show=False),
        Binding("end", "to(-1)", "Last run", show=False),
        Binding("enter", "choose", "Watch", tooltip="Open the monitor of this run"),
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

        run: Known

    @dataclass
    class Moved(Message):
        """The cursor stands on another run, or on none."""

        run: Known | None

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._runs: Sequence[Known] = ()

    @property
    def current(self) -> Known | None:
        """The run under the cursor."""
        return self._runs[self.cursor] if self.cursor < len(self._runs) else None

    @property
    def in_sight(self) -> list[str]:
        """The ids of the runs whose lines are drawn now."""
        top = self.scroll_offset.y
        return [known.run.id for known in self._runs[top : top + max(self.size.height - 1, 1)]]

    def show(self, runs: Sequence[Known]) -> None:
        """Show these runs, newest first."""
        at = self.current
        self._runs = runs
        self.virtual_size = Size(self.scrollable_content_region.width, len(runs) + 1)
        if at is not None:
            place = next((n for n, known in enumerate(runs) if known.run.id == at.run.id), self.cursor)
            self.cursor = min(place, max(len(runs) - 1, 0))
        if self.current is not at:
            self.post_message(self.Moved(self.current))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        widths = self._widths(width)
        if y == 0:
            head = "".join(_cell(name, widths[name]) for name in widths)
            return Strip([Segment(head, self._style("header"))]).adjust_cell_length(width, self.rich_style)
        row = self.scroll_offset.y + y - 1
        if row >= len(self._runs):
            return Strip.blank(width, self.rich_style)
        known = self._runs[row]
        base = self._style("cursor") if row == self.cursor else self.rich_style
        state = known.status.state if known.status else None
        colours = {"state": self._style(tone(state) if state else "muted"), "started": self._style("muted"),
                   "took": self._style("muted"), "kind": self._style("muted")}
        told = cells(known)
        segments = [
            Segment(_cell(told[name], size), base if row == self.cursor else colours.get(name, base))
            for name, size in widths.items()
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"run-table--{name}")

    @staticmethod
    def _widths(width: int) -> dict[str, int]:
        widths = dict(WIDTHS)
        for name in (*DROPPED, None):
            left = width - sum(widths.values())
            if left >= LEAST_NAME or name is None:
                break
            del widths[name]
        widths["name"] = max(width - sum(widths.values()), 8)
        return widths

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

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y - 1
        if event.y < 1 or row >= len(self._runs):
            return
        again = row == self.cursor
        self.cursor = row
        if again:
            self.action_choose()


def cells(known: Known) -> dict[str, str]:
    """What stands in the columns for one run."""
    info, status = known.run.info, known.status
    told = {"state": "…", "name": plain(info.name) or info.id, "kind": info.kind, "step": "", "loss": "", "eval": "",
            "started": _when(info.created), "took": ""}
    if status is None:
        return told
    told["state"] = f"{SIGNS[status.state]} {status.state}"
    if status.step is not None:
        share = f" {min(status.step / status.total, 1):>4.0%}" if status.total else ""
        told["step"] = f"{status.step:,}{f' / {status.total:,}' if status.total else ''}{share}"
    elif status.live and status.done is not None:
        told["step"] = f"{status.done:.0%}"
    told["loss"] = _number(status.metrics.get("loss"))
    told["eval"] = _number(status.metrics.get("eval_loss"))
    end = time.time() if status.live else status.updated
    if end is not None and end >= info.created:
        told["took"] = clock(end - info.created)
    return told


def _number(value: object) -> str:
    return short(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _when(created: float) -> str:
    """Today's as a time, others as a date."""
    then, now = time.localtime(created), time.localtime()
    style = "today %H:%M" if then[:3] == now[:3] else "%b %d %H:%M" if then[0] == now[0] else "%Y-%m-%d"
    return time.strftime(style, then)


def _cell(text: str, width: int) -> str:
    """`text` in exactly `width` cells, with at least one space after it."""
    return set_cell_size(text if cell_len(text) < width else text[: max(width - 2, 0)] + "…", width)
