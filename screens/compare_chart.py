"""`Overlay`: one curve of several runs over each other, and below it a line for each run: its sign, how it goes."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.message import Message

from ftui.runs.alignment import AXES, Axis
from ftui.runs.comparing import said

from .compare_lanes import Lane
from .monitor_axes import short, step_marks, time_marks
from .monitor_panels import PANELS, Averages, Panel, View, panels_for
from .monitor_raster import Curve, Frame, Run, draw, visible_bounds
from .monitor_series import Series
from .monitor_words import SIGNS
from .widgets.plot import Plot

COLUMNS = {"state": 11, "step": 8, "now": 8, "best": 9, "at": 8, "tokens/s": 9, "took": 9, "peak": 10}
"""Cells of what is said of each run, the most telling first; the name before them takes what is left."""
LEAST_NAME = 13


def curves_on_offer(metrics: Set[str]) -> list[Panel]:
    """A panel for each curve: what the monitor draws into one chart as training and evaluation are two here."""
    found = []
    for panel in panels_for(metrics):
        if panel.metric in metrics or panel.metric == "loss":
            found.append(panel)
        if panel.second is not None and panel.second in metrics:
            title = f"{panel.title} ({panel.second_name})"
            found.append(replace(panel, key=panel.second, metric=panel.second, title=title, smooth=False))
    return found


class Overlay(Plot):
    """Draws lanes under one view.  A click on a run's line hides or shows it."""

    @dataclass
    class Toggled(Message):
        """A run's line was clicked."""

        letter: str

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lanes: Sequence[Lane] = ()
        self.view = View()
        self.axis: Axis = AXES[0]
        self.panel = PANELS[0]
        self._averages: dict[str, Averages] = {}
        self._first_line = 0

    @property
    def ends(self) -> tuple[float, float]:
        """Where the axis begins and ends over all the runs in sight."""
        held = [series for _, series in self._shown() if len(series)]
        if not held:
            return 0.0, 1.0
        first = float(min(series.steps[0] for series in held))
        return min(first, 1.0 if self.axis == "step" else 0.0), float(max(series.steps[-1] for series in held))

    @property
    def points(self) -> int:
        """How many points the longest curve in sight has."""
        return max((len(series) for _, series in self._shown()), default=0)

    def contents(self) -> list[list[Run]]:
        width, lines = self.size.width, self._lines(self.size.width)
        height = self.size.height - 1 - len(lines)
        what = self._frame()
        if what is None:
            rows: list[list[Run]] = [[("", "")] for _ in range(max(height, 0))]
            if rows:
                rows[min(1, len(rows) - 1)] = [(f"  {self.nothing}", "axis")]
        else:
            rows = draw(what, width, height)
        self._first_line = 1 + len(rows) + 1
        return [self._title(), *rows, *lines]

    @property
    def nothing(self) -> str:
        """Why there is no curve to see."""
        if any(lane.status is None for lane in self.lanes):
            return "Reading the runs …"
        if self.lanes and all(lane.hidden for lane in self.lanes):
            return "All runs are hidden: a run's letter shows it again."
        having = [lane for lane in self.lanes if not lane.hidden and self.panel.metric in lane.measured]
        if having and self.axis == "tokens":
            return f"No run in sight counts its tokens; x lays {self.panel.title} over steps or time."
        return f"No run in sight has measured {self.panel.title} yet; m shows another curve."

    def _shown(self) -> list[tuple[Lane, Series]]:
        return [(lane, lane.curve(self.panel.metric, self.axis)) for lane in self.lanes if not lane.hidden]

    def _frame(self) -> Frame | None:
        shown = [(lane, series) for lane, series in self._shown() if len(series) or series.gaps]
        if not any(len(series) for _, series in shown):
            return None
        left, right = self.view.span(self.ends)
        weight = self.weight
        curves = []
        for place, (lane, series) in enumerate(shown):
            line = series
            if weight > 0:
                averages = self._averages.setdefault(lane.run.id, Averages())
                line = averages.of(self.panel.metric, series, weight, left, right)
            curves.append(Curve(line, lane.style, marks=True, sign=lane.letter, among=(place, len(shown))))
        panel = self.panel
        if panel.ceiling is not None:
            low, high = panel.floor or 0.0, panel.ceiling
        else:
            low, high = visible_bounds(curves, left, right, self.view.log, panel.floor)
        marks = time_marks if self.axis == "time" else step_marks
        log = self.view.log and low > 0
        return Frame(curves, left, right, low, high, log, scale=panel.scale, marks_along=marks)

    @property
    def weight(self) -> float:
        """The smoothing weight of what is drawn."""
        return self.view.weight(self.points) if self.panel.smooth else 0.0

    def _title(self) -> list[Run]:
        unit = f", {self.panel.unit}" if self.panel.unit else ""
        parts: list[Run] = [(f"{self.panel.title}{unit}", "title"), (f" by {self.axis}", "title")]
        if self.view.log:
            parts.append((" (log)", "axis"))
        if weight := self.weight:
            parts.append((f"   smoothed {weight:g}", "axis"))
        return parts

    def _lines(self, width: int) -> list[list[Run]]:
        """A heading, and a line for each run."""
        widths, room = {}, width - 2 - LEAST_NAME - 1
        for name, wanted in COLUMNS.items():
            if wanted <= room:
                widths[name] = wanted
                room -= wanted
        name_width = width - 2 - sum(widths.values()) - 1
        heading = "".join(f"{name:>{cells}}" for name, cells in widths.items())
        rows: list[list[Run]] = [[(" " * (2 + name_width) + heading, "axis")]]
        for lane in self.lanes:
            texts = self._texts(lane)
            told = "".join(f"{texts[name]:>{cells}}" for name, cells in widths.items())
            name = lane.label if cell_len(lane.label) < name_width else set_cell_size(lane.label, name_width - 2) + "…"
            style = "hidden" if lane.hidden else lane.style
            rows.append([
                (f"{lane.letter.lower() if lane.hidden else lane.letter} ", style),
                (set_cell_size(name, name_width), style), (told, "hidden" if lane.hidden else ""),
            ])
        return rows

    def _texts(self, lane: Lane) -> dict[str, str]:
        facts = lane.facts
        series = lane.side.curves.get(self.panel.metric)
        now = series.values[-1] if series is not None and len(series) else None
        state = f"{SIGNS[lane.status.state]} {lane.status.state}" if lane.status is not None else "…"
        return {
            "state": "hidden" if lane.hidden else state[:11], "step": said("steps", facts["steps"]),
            "now": self.panel.said(now), "best": short(facts["best"]), "at": said("at", facts["at"]),
            "tokens/s": short(facts["tokens_per_second"]), "took": said("seconds", facts["seconds"]),
            "peak": said("peak_bytes", facts["peak_bytes"]),
        }

    def on_click(self, event: events.Click) -> None:
        place = event.y - self._first_line
        if 0 <= place < len(self.lanes):
            self.post_message(self.Toggled(self.lanes[place].letter))
