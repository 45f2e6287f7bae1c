"""`Chart`: curves over steps with axes and a legend, drawn in braille.

Own code rather than textual-plot 0.10.1 with tsdownsample's MinMaxLTTB, by figures: a redraw of 100,000 points with
smoothing and evaluations at 120 × 30 took 15 ms of CPU here against 72 ms there (`benchmarks/monitor.py` measures it
anew), and numpy with textual-plot add 18 MB and 0.15 s of CPU to an app that needs neither for anything else.  Besides,
textual-plot joins the points on either side of a missing value and has no logarithmic axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ..monitor_panels import Averages, Panel, View, frame
from ..monitor_picture import Picture
from ..monitor_raster import Limit, Run, draw

SIGNS = {"raw": "·", "line": "─", "second": "●", "old": "┄"}
"""How a curve is told apart in the legend, besides its colour."""


class Chart(Widget):
    """One panel of the monitor: a title line with legend and newest value, and the curves below.

    `compact` leaves the legend out.  A click asks for the panel to become the main one; the wheel zooms at the pointer.
    """

    COMPONENT_CLASSES = {f"chart--{name}" for name in ("raw", "line", "second", "old", "limit", "axis", "gap", "title")}
    DEFAULT_CSS = """
    Chart {
        height: 1fr;
        & > .chart--raw { color: $foreground 40%; }
        & > .chart--line { color: $text-primary; text-style: bold; }
        & > .chart--second { color: $text-warning; text-style: bold; }
        & > .chart--old { color: $foreground 25%; }
        & > .chart--limit { color: $text-error; }
        & > .chart--gap { color: $text-error; text-style: bold; }
        & > .chart--axis { color: $foreground 60%; }
        & > .chart--title { text-style: bold; }
        &:ansi > .chart--raw { color: ansi_default; text-style: dim; }
        &:ansi > .chart--old { color: ansi_default; text-style: dim; }
        &:ansi > .chart--axis { color: ansi_default; text-style: dim; }
    }
    """

    @dataclass
    class Chosen(Message):
        """The panel was clicked."""

        panel: Panel

    @dataclass
    class Zoomed(Message):
        """The wheel was turned at a place between the chart's left (0) and right end (1); `factor` < 1 goes nearer."""

        factor: float
        centre: float

    def __init__(self, panel: Panel, *, compact: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.panel = panel
        self.compact = compact
        self._picture = Picture()
        self._view = View()
        self._limits: Sequence[Limit] = ()
        self._averages = Averages()
        self._rows: list[list[Run]] | None = None
        self._title: list[Run] = []

    def show(self, picture: Picture, view: View, limits: Sequence[Limit] = (), panel: Panel | None = None) -> None:
        """Draw what the picture holds now; `panel` changes what the chart is about."""
        self._picture, self._view, self._limits = picture, view, limits
        self.panel = panel or self.panel
        self._rows = None
        self.refresh()

    def text_rows(self) -> list[str]:
        """What is on the chart, row by row, title first."""
        return ["".join(text for text, _ in row) for row in (self._draw(), [self._title, *(self._rows or [])])[1]]

    def render_line(self, y: int) -> Strip:
        rows = self._draw()
        runs = self._title if y == 0 else rows[y - 1] if y - 1 < len(rows) else []
        width = self.size.width
        return Strip([Segment(text, self._style(style)) for text, style in runs]).adjust_cell_length(
            width, self.rich_style
        )

    def _draw(self) -> list[list[Run]]:
        if self._rows is None:
            what, legend = frame(self.panel, self._picture, self._view, self._averages, self._limits)
            self._rows = draw(what, self.size.width, self.size.height - 1)
            self._title = self._title_line(legend)
        return self._rows

    def _title_line(self, legend: list[tuple[str, str]]) -> list[Run]:
        """Title, legend as far as there is room, and the newest values at the right end."""
        values: list[Run] = [(self.panel.said(self._picture.last(self.panel.metric)), "line")]
        if self.panel.second and (second := self._picture.last(self.panel.second)) is not None:
            values += [("  ", ""), (self.panel.said(second), "second")]
        log = " (log)" if self._view.log else ""
        left: list[Run] = [(self.panel.title, "title"), (log, "axis")]
        room = self.size.width - sum(cell_len(text) for text, _ in (*left, *values)) - 2
        for style, name in legend:
            text = f"   {SIGNS[style]} {name}"
            if self.compact or not name or cell_len(text) > room:
                continue
            left.append((text, style))
            room -= cell_len(text)
        return [*left, (" " * max(room + 1, 1), ""), *values]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"chart--{name}") if name else self.rich_style

    def on_resize(self) -> None:
        self._rows = None

    def on_click(self) -> None:
        self.post_message(self.Chosen(self.panel))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1.25)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        event.stop()
        self.post_message(self.Zoomed(factor, min(max(event.x / max(self.size.width, 1), 0.0), 1.0)))
