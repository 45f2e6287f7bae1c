"""`Plot`: rows of styled text that are drawn anew only when something has changed, in the colours of curves."""

from __future__ import annotations

from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ftui.runs.comparing import MOST

from ..monitor_raster import Run

RUN_STYLES = [f"run{number}" for number in range(MOST)]
"""The styles of runs that are laid over each other, by `comparing.colours`."""


class Plot(Widget):
    """What charts share: a subclass says its rows in `contents`; the wheel asks to zoom at the pointer."""

    COMPONENT_CLASSES = {
        f"chart--{name}"
        for name in ("raw", "line", "second", "old", "limit", "axis", "gap", "title", "hidden", *RUN_STYLES)
    }
    # A theme has four colours that can be told apart; eight runs need hues of their own, for a dark and a light ground.
    DEFAULT_CSS = """
    Plot {
        height: 1fr;
        & > .chart--raw { color: $foreground 40%; }
        & > .chart--line { color: $text-primary; text-style: bold; }
        & > .chart--second { color: $text-warning; text-style: bold; }
        & > .chart--old { color: $foreground 25%; }
        & > .chart--hidden { color: $foreground 40%; }
        & > .chart--limit { color: $text-error; }
        & > .chart--gap { color: $text-error; text-style: bold; }
        & > .chart--axis { color: $foreground 60%; }
        & > .chart--title { text-style: bold; }
        & > .chart--run0 { color: #5aa9f5; }
        & > .chart--run1 { color: #f5a742; }
        & > .chart--run2 { color: #5fce7b; }
        & > .chart--run3 { color: #f2707a; }
        & > .chart--run4 { color: #c197f0; }
        & > .chart--run5 { color: #e8e06a; }
        & > .chart--run6 { color: #4fd6d2; }
        & > .chart--run7 { color: #f08ac9; }
        &:light > .chart--run0 { color: #0b62b8; }
        &:light > .chart--run1 { color: #a85a00; }
        &:light > .chart--run2 { color: #1b7a36; }
        &:light > .chart--run3 { color: #b3202c; }
        &:light > .chart--run4 { color: #7437ba; }
        &:light > .chart--run5 { color: #6b6500; }
        &:light > .chart--run6 { color: #00716e; }
        &:light > .chart--run7 { color: #a32a78; }
        &:ansi > .chart--raw { color: ansi_default; text-style: dim; }
        &:ansi > .chart--old { color: ansi_default; text-style: dim; }
        &:ansi > .chart--hidden { color: ansi_default; text-style: dim; }
        &:ansi > .chart--axis { color: ansi_default; text-style: dim; }
        &:ansi > .chart--run0, &:ansi > .chart--run1, &:ansi > .chart--run2, &:ansi > .chart--run3,
        &:ansi > .chart--run4, &:ansi > .chart--run5, &:ansi > .chart--run6, &:ansi > .chart--run7 {
            color: ansi_default;
        }
    }
    """

    @dataclass
    class Zoomed(Message):
        """The wheel was turned at a place between the chart's left (0) and right end (1); `factor` < 1 goes nearer."""

        factor: float
        centre: float

    _rows: list[list[Run]] | None = None
    _styles: dict[str, Style] | None = None
    """Those that the rows are drawn in: each takes a walk through the page's styles."""

    def contents(self) -> list[list[Run]]:
        """The rows to draw in the size that there is, from the top."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Something has changed: draw anew when it is next seen."""
        self._rows = None
        self.refresh()

    def notify_style_update(self) -> None:
        self._styles = None
        super().notify_style_update()

    def rows(self) -> list[list[Run]]:
        """The rows as they stand."""
        if self._rows is None:
            self._rows = self.contents()
        return self._rows

    def text_rows(self) -> list[str]:
        """What is on the chart, row by row, title first."""
        return ["".join(text for text, _ in row) for row in self.rows()]

    def render_line(self, y: int) -> Strip:
        rows = self.rows()
        segments = [Segment(text, self._style(style)) for text, style in (rows[y] if y < len(rows) else [])]
        return Strip(segments).adjust_cell_length(self.size.width, self._style(""))

    def _style(self, name: str) -> Style:
        if self._styles is None:
            self._styles = {}
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(f"chart--{name}") if name else self.rich_style
        return self._styles[name]

    def on_resize(self) -> None:
        self._rows = None

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1.25)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        event.stop()
        self.post_message(self.Zoomed(factor, min(max(event.x / max(self.size.width, 1), 0.0), 1.0)))
