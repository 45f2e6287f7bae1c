"""`ChartsPane`: one large chart; the other curves as small charts where there is room, else as one line each."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.message import Message

from .monitor_panels import Panel, View, ends, panels_for
from .monitor_picture import Picture
from .monitor_raster import Limit
from .widgets.chart import Chart
from .widgets.gauges import Gauges

ROOM = (96, 27)
"""From this size on (columns, rows of this pane) the other panels are charts, too."""
SMALL = 6


class ChartsPane(Vertical):
    """Draws a picture of a run under one view, which its keys and the mouse change."""

    DEFAULT_CSS = """
    ChartsPane { height: 1fr; }
    ChartsPane > Chart { height: 1fr; padding: 0 1; }
    /* The large chart keeps most of a small screen; m leads through all of the others. */
    ChartsPane > Gauges { max-height: 50%; }
    ChartsPane Grid { grid-size: 3; grid-gutter: 0 2; height: 1fr; margin: 1 0 0 0; padding: 0 1; }
    ChartsPane Grid.-two { grid-size: 2; }
    """

    class Changed(Message):
        """The view or the main panel is another now."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = View()
        self._chosen: str | None = None
        self._picture = Picture()
        self._limits: dict[str, Sequence[Limit]] = {}

    def compose(self) -> ComposeResult:
        panel = panels_for(self._picture.metrics)[0]
        yield Chart(panel, id="main-chart")
        with Grid(id="small-charts"):
            for number in range(SMALL):
                yield Chart(panel, compact=True, id=f"chart-{number}")
        yield Gauges(id="gauges")

    def show(self, picture: Picture, limits: dict[str, Sequence[Limit]]) -> None:
        """Draw this picture; `limits` by panel key."""
        self._picture, self._limits = picture, limits
        self.draw()

    @property
    def main(self) -> str:
        """The key of the large chart: the chosen one, else the reward where one is measured (the loss of a policy says
        little of how it goes), else the loss."""
        return self._chosen or ("reward" if "reward" in self._picture.metrics else "loss")

    @property
    def panels(self) -> list[Panel]:
        """What there is to show now, the most important first."""
        return panels_for(self._picture.metrics)

    @property
    def main_panel(self) -> Panel:
        """The large chart's panel."""
        panels = self.panels
        return next((panel for panel in panels if panel.key == self.main), panels[0])

    def draw(self) -> None:
        """Draw all panels in the room that there is."""
        if not self.is_mounted:
            return
        main = self.main_panel
        others = [panel for panel in self.panels if panel.key != main.key]
        roomy = self.size.width >= ROOM[0] and self.size.height >= ROOM[1] and bool(others)
        grid, gauges = self.query_one(Grid), self.query_one(Gauges)
        grid.display, gauges.display = roomy, not roomy and bool(others)
        self.query_one("#main-chart", Chart).show(self._picture, self.view, self._limits.get(main.key, ()), main)
        if roomy:
            grid.set_class(len(others) in (1, 2, 4), "-two")
            for number in range(SMALL):
                chart = self.query_one(f"#chart-{number}", Chart)
                chart.display = number < len(others)
                if chart.display:
                    panel = others[number]
                    chart.show(self._picture, self.view, self._limits.get(panel.key, ()), panel)
        else:
            gauges.show(self._picture, others, self._limits)

    def look(self, view: View) -> None:
        """Look at the charts in another way."""
        if view != self.view:
            self.view = view
            self.draw()
            self.post_message(self.Changed())

    def turn(self, by: int) -> None:
        """Make the next panel (`by` panels on) the main one."""
        keys = [panel.key for panel in self.panels]
        place = keys.index(self.main) if self.main in keys else 0
        self._chosen = keys[(place + by) % len(keys)]
        self.draw()
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        self.draw()

    @on(Chart.Chosen)
    def _picked(self, event: Chart.Chosen) -> None:
        self._chosen = event.panel.key
        self.draw()
        self.post_message(self.Changed())

    @on(Chart.Zoomed)
    def _zoomed(self, event: Chart.Zoomed) -> None:
        self.look(self.view.zoomed(ends(self._picture), event.factor, event.centre))
