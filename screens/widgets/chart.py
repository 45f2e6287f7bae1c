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
from textual.message import Message

from ..monitor_panels import Averages, Panel, View, frame
from ..monitor_picture import Picture
from ..monitor_raster import Limit, Run, draw
from .plot import Plot

SIGNS = {"raw": "·", "line": "─", "second": "●", "old": "┄"}
"""How a curve is told apart in the legend, besides its colour."""


class Chart(Plot):
    """One panel of the monitor: a title line with legend and newest value, and the curves below.

    `compact` leaves the legend out.  A click asks for the panel to become the main one.
    """

    @dataclass
    class Chosen(Message):
        """The panel was clicked."""

        panel: Panel

    def __init__(self, panel: Panel, *, compact: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.panel = panel
        self.compact = compact
        self._picture = Picture()
        self._view = View()
        self._limits: Sequence[Limit] = ()
        self._averages = Averages()

    def show(self, picture: Picture, view: View, limits: Sequence[Limit] = (), panel: Panel | None = None) -> None:
        """Draw what the picture holds now; `panel` changes what the chart is about."""
        self._picture, self._view, self._limits = picture, view, limits
        self.panel = panel or self.panel
        self.redraw()

    def contents(self) -> list[list[Run]]:
        what, legend = frame(self.panel, self._picture, self._view, self._averages, self._limits)
        return [self._title_line(legend), *draw(what, self.size.width, self.size.height - 1)]

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

    def on_click(self) -> None:
        self.post_message(self.Chosen(self.panel))
