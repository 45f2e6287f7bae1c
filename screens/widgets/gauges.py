"""The monitor's small instruments: the run's progress in two lines, and one line per metric with a bar or a spark."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from ..monitor_panels import Panel
from ..monitor_picture import Picture
from ..monitor_raster import Limit, spark
from .static import count_change

EIGHTHS = " ▏▎▍▌▋▊▉"
NAME = 16
"""Columns of a panel's name in its line."""


class ProgressLines(Widget):
    """How far the run is: a bar with its numbers, and a line of facts below."""

    DEFAULT_CSS = "ProgressLines { height: 2; padding: 0 1; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._share: float | None = None
        self._text, self._facts = "", ""
        self._tone = "primary"

    def show(self, share: float | None, text: str, facts: str, tone: str = "primary") -> None:
        """`share` in 0..1 (None: unknown, no bar), `text` beside the bar, `facts` below it, `tone` a theme colour."""
        new = (share, text, facts, tone)
        if new != (self._share, self._text, self._facts, self._tone):
            self._share, self._text, self._facts, self._tone = new
            self.refresh()

    def render(self) -> RenderResult:
        width = self.size.width
        text = Content(self._text).truncate(width, ellipsis=True)
        facts = Content(self._facts).truncate(width, ellipsis=True).stylize("dim")
        length = width - text.cell_length - 2
        if self._share is None or length < 8:
            return Content("\n").join([text, facts])
        full = round(min(max(self._share, 0.0), 1.0) * length)
        line = Content.assemble(
            ("━" * full, f"$text-{self._tone}"), ("─" * (length - full), "dim"), "  ", text
        )
        return Content("\n").join([line, facts])


class Gauges(Widget):
    """Every panel but the main one as one line: name, newest value, and how it went; two columns where they fit."""

    DEFAULT_CSS = "Gauges { height: auto; padding: 0 1; }"
    COLUMN = 36
    """The narrowest line that holds a name, a value and something to see."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._picture = Picture()
        self._panels: Sequence[Panel] = ()
        self._limits: dict[str, Sequence[Limit]] = {}

    def show(self, picture: Picture, panels: Sequence[Panel], limits: dict[str, Sequence[Limit]]) -> None:
        """Draw these panels' newest values; `limits` by panel key turn a spark into a bar."""
        grown = len(panels) != len(self._panels)
        self._picture, self._panels, self._limits = picture, panels, limits
        self.refresh(layout=grown)
        if grown:
            count_change(self)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return -(-len(self._panels) // self._columns(width)) if self._panels else 0

    def render(self) -> RenderResult:
        width = self.size.width
        columns = self._columns(width)
        each = (width - 2 * (columns - 1)) // columns
        cells = [self._cell(panel, each) for panel in self._panels]
        rows = [Content("  ").join(cells[start : start + columns]) for start in range(0, len(cells), columns)]
        return Content("\n").join(rows)

    def _columns(self, width: int) -> int:
        return max(1, min(3, (width + 2) // (self.COLUMN + 2)))

    def _cell(self, panel: Panel, width: int) -> Content:
        value = panel.said(self._picture.last(panel.metric))
        title = panel.title if len(panel.title) <= NAME else f"{panel.title[: NAME - 1]}…"
        head = Content.assemble((f"{title:<{NAME}} ", "dim"), (f"{value:>9}", "bold"), " ")
        room = max(width - head.cell_length, 0)
        series = self._picture.series.get(panel.metric)
        limits = self._limits.get(panel.key, ())
        if limits and series is not None and len(series):
            drawn = memory_bar(series.values[-1], limits, room)
        elif series is not None and room > 3:
            drawn = Content(spark(series, room, panel.floor)).stylize("$text-primary")
        else:
            drawn = Content("")
        return Content.assemble(head, drawn).pad_right(max(width - head.cell_length - drawn.cell_length, 0))


def memory_bar(value: float, limits: Sequence[Limit], width: int) -> Content:
    """A bar up to the largest limit, with a mark at each smaller one (what the plan expected)."""
    whole = max(limit.value for limit in limits)
    if width < 4 or whole <= 0:
        return Content("")
    length = min(value / whole, 1.0) * width
    full = int(length)
    cells = list(("█" * full + EIGHTHS[int((length - full) * 8)]).ljust(width)[:width])
    marks = {min(int(limit.value / whole * width), width - 1) for limit in limits if limit.value < whole}
    over = any(value > limit.value for limit in limits if limit.value < whole)
    bar = Content("".join("┃" if place in marks else cell for place, cell in enumerate(cells)))
    bar = bar.stylize("$text-warning" if over else "$text-primary")
    for place in marks:
        bar = bar.stylize("$text-error", place, place + 1)
    return bar.stylize("on $foreground 12%")
