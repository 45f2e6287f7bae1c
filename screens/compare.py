"""Several runs over each other: one curve at a time, and what differs between their recipes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from ftui.runs.alignment import AXES
from ftui.runs.comparing import LETTERS, MOST, Settings
from ftui.runs.smoothing import LEVELS

from .background import Problem, attempt
from .chart_file import write_chart
from .compare_chart import Overlay, curves_on_offer
from .compare_lanes import Lane, open_lanes, others
from .compare_table import CompareTable
from .dialogs import Pick
from .messages import WatchRun
from .monitor_panels import View
from .page import Page
from .widgets.static import Static
from .widgets.tab_line import TabLine

LOOK_SECONDS = 1.0
ROOMY = (100, 36)
"""From this size on (columns, rows of the screen) the table stands below the chart."""
TABS = ("chart", "table")
CURVES, RUNS = Binding.Group("Curves"), Binding.Group("Runs")


def _bindings() -> list[BindingType]:
    """The page's keys; a run's letter hides or shows it."""
    rows = (
        (CURVES, "x", "axis", "Align", "Lay the curves over steps, tokens seen, or time trained", True),
        (CURVES, "m", "turn(1)", "Next curve", "Show the next of the curves that the runs have measured", True),
        (CURVES, "M", "turn(-1)", "Previous curve", "Show the curve before", False),
        (CURVES, "l", "log_scale", "Log scale", "A logarithmic value axis, and back", False),
        (CURVES, "s", "smooth(1)", "Smoother", "Smooth the curves more", False),
        (CURVES, "S", "smooth(-1)", "Rougher", "Smooth the curves less", False),
        (CURVES, "plus,equals_sign", "zoom(0.5)", "Zoom in", "Show half as much of the axis", False),
        (CURVES, "minus", "zoom(2)", "Zoom out", "Show twice as much of the axis", False),
        (CURVES, "left", "pan(-0.25)", "Earlier", "Move towards the beginning", False),
        (CURVES, "right", "pan(0.25)", "Later", "Move towards the end", False),
        (CURVES, "0", "reset", "All of it", "The whole axis, linear, smoothing chosen by length", False),
        (CURVES, "w", "write", "Write chart", "As SVG and PNG into the folder that ftui was started in", True),
        (RUNS, "v", "view", "View a run", "Open the monitor of one of these runs", False),
        (RUNS, "n", "add", "Add a run", "Lay one more run over these", False),
        (RUNS, "1", "tab('chart')", "Chart", "The curves", False),
        (RUNS, "2", "tab('table')", "Differences", "What differs between the recipes, and what came of it", True),
    )
    made: list[BindingType] = [
        Binding(keys, action, name, show=shown, tooltip=tooltip, group=group, id=f"compare.{action}")
        for group, keys, action, name, tooltip, shown in rows
    ]
    return made + [
        Binding(letter.lower(), f"run('{letter}')", f"Run {letter}", show=False, tooltip="Hide or show this run",
                group=RUNS, id=f"compare.run.{letter}")
        for letter in LETTERS
    ]


class CompareScreen(Page[None]):
    """Draws two to eight runs with these ids over each other, and follows those that go on."""

    TITLE = "compare"
    ABOUT = "Several runs over each other. A run's letter hides it and shows it again; runs that go on are followed."
    CSS_PATH = "compare.tcss"
    BINDINGS = _bindings()
    AUTO_FOCUS = ""

    def __init__(self, run_ids: list[str]) -> None:
        super().__init__()
        self._ids = run_ids
        self._lanes: Sequence[Lane] = ()
        self._settings = Settings({}, ())
        self._looking = False
        self._behind = True
        """Whether some of the past is still to be read."""
        self._tab = TABS[0]
        self._wrong: dict[str, str] = {}
        """What could not be read of a run, by its letter."""

    def compose_body(self) -> ComposeResult:
        yield TabLine(TABS, id="tabs")
        yield Static("Reading the runs …", id="waiting", markup=False)
        with Vertical(id="both"):
            yield Overlay(id="overlay")
            yield CompareTable(id="table")

    async def on_mount(self) -> None:
        self.query_one("#both").display = False
        opened = await attempt(open_lanes, self._ids)
        if isinstance(opened, Problem):
            self.query_one("#waiting", Static).update(f"{opened.what}\n{opened.hint}")
            self.query_one("#waiting").add_class("-wrong")
            return
        self._lanes, self._settings = opened
        self.query_one("#waiting").display, self.query_one("#both").display = False, True
        self._overlay.lanes = self._lanes
        self.query_one(CompareTable).fill(self._lanes, self._settings)
        self._arrange()
        self.set_interval(LOOK_SECONDS, self._tick)
        self._tick()

    @property
    def _overlay(self) -> Overlay:
        return self.query_one(Overlay)

    def _tick(self) -> None:
        if not self._looking and self.is_current:
            self._looking = True
            self.run_worker(self._look(), group="look")

    async def _look(self) -> None:
        """Read what is new of each run, a piece at a time, so that all curves grow at once."""
        try:
            drawn, behind = 0.0, True
            while behind:
                behind = False
                for lane in self._lanes:
                    found = await attempt(lane.look)
                    if not self.app.is_running:
                        return
                    if isinstance(found, Problem):
                        self._complain(lane, found)
                        continue
                    lane.fold(found)
                    behind |= found.behind
                self._behind = behind
                if self.is_current and (not behind or time.monotonic() - drawn > LOOK_SECONDS):
                    self._show()
                    drawn = time.monotonic()
        finally:
            self._looking = False

    def _complain(self, lane: Lane, problem: Problem) -> None:
        """Say once what is wrong with a run; the others are followed all the same."""
        if self._wrong.get(lane.letter) != problem.what:
            self._wrong[lane.letter] = problem.what
            self.notify(problem.hint, title=f"{lane.letter}: {problem.what}", severity="error", markup=False)

    def on_screen_resume(self) -> None:
        if self._lanes:
            self._tick()

    def _show(self) -> None:
        """Draw what there is now, in words and curves."""
        overlay, lanes = self._overlay, self._lanes
        overlay.redraw()
        self.query_one(CompareTable).refill(lanes)
        live = sum(lane.live for lane in lanes)
        names = " ".join(lane.run.id for lane in lanes)
        by = "" if overlay.axis == "step" else f" --by {overlay.axis}"
        more = ", reading …" if self._behind else f", {live} live" if live else ""
        self.say(
            status=f"{len(lanes)} runs{more}", next=self._next(),
            command=f"ftui runs compare {names}{by} --curve {overlay.panel.metric}",
        )
        panels = curves_on_offer(set().union(*(lane.measured for lane in lanes)))
        place = next((at for at, panel in enumerate(panels, 1) if panel.key == overlay.panel.key), 1)
        note = f"curve {place} of {len(panels)}" if self._tab == "chart" else ""
        self.query_one(TabLine).show(self._tab, note, {"table": f" {len(self._settings.values)}"})

    def _next(self) -> str:
        """Which runs can't be seen in this curve, else what can be done."""
        overlay = self._overlay
        missing = [lane for lane in self._lanes
                   if not lane.hidden and not len(lane.curve(overlay.panel.metric, overlay.axis))]
        if missing and len(missing) < len(self._lanes) and not self._behind:
            letters = ", ".join(lane.letter for lane in missing)
            counts = [lane for lane in missing if overlay.panel.metric in lane.measured]
            what = "tokens counted" if len(counts) == len(missing) else overlay.panel.title
            return f"Without {what}{' yet' if any(lane.live for lane in missing) else ''}: {letters}."
        last = self._lanes[-1].letter.lower()
        return f"a–{last} hide or show a run, x turns from steps to tokens to time; n adds a run."

    def _arrange(self) -> None:
        """Give chart and table their room: both where there is enough, else the one whose tab it is."""
        roomy = self.size.width >= ROOMY[0] and self.size.height >= ROOMY[1]
        overlay, table = self._overlay, self.query_one(CompareTable)
        overlay.display = self._tab == "chart"
        table.display = roomy or self._tab == "table"
        table.set_class(roomy and self._tab == "chart", "-below")
        self.set_focus(table.grid if self._tab == "table" else None)
        self._show()

    def on_resize(self) -> None:
        if self._lanes:
            self._arrange()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "run":
            return any(lane.letter == parameters[0] for lane in self._lanes)
        if action in ("zoom", "pan", "reset", "log_scale", "smooth", "turn", "axis", "write"):
            return bool(self._lanes) and self._tab == "chart"
        if action in ("view", "tab"):
            return bool(self._lanes)
        return bool(self._lanes) and len(self._lanes) < MOST if action == "add" else super().check_action(
            action, parameters
        )

    def action_tab(self, name: str) -> None:
        self._tab = name
        self._arrange()
        self.refresh_bindings()

    def action_axis(self) -> None:
        overlay = self._overlay
        overlay.axis = AXES[(AXES.index(overlay.axis) + 1) % len(AXES)]
        # What was zoomed into lies elsewhere on another axis.
        self._view(left=None, right=None)

    def action_turn(self, by: int) -> None:
        overlay = self._overlay
        panels = curves_on_offer(set().union(*(lane.measured for lane in self._lanes)))
        keys = [panel.key for panel in panels]
        place = keys.index(overlay.panel.key) if overlay.panel.key in keys else 0
        overlay.panel = panels[(place + by) % len(panels)]
        self._show()

    def action_log_scale(self) -> None:
        self._view(log=not self._overlay.view.log)

    def action_smooth(self, by: int) -> None:
        level = self._overlay.view.level_in_use(self._overlay.points)
        self._view(level=min(max(level + by, 0), len(LEVELS) - 1))

    def action_zoom(self, factor: float, centre: float = 0.5) -> None:
        self._overlay.view = self._overlay.view.zoomed(self._overlay.ends, factor, centre)
        self._show()

    @on(Overlay.Zoomed)
    def _zoomed(self, event: Overlay.Zoomed) -> None:
        self.action_zoom(event.factor, event.centre)

    def action_pan(self, share: float) -> None:
        self._overlay.view = self._overlay.view.panned(self._overlay.ends, share)
        self._show()

    def action_reset(self) -> None:
        self._overlay.view = View()
        self._show()

    def _view(self, **changes: Any) -> None:
        self._overlay.view = replace(self._overlay.view, **changes)
        self._show()

    def action_run(self, letter: str) -> None:
        for lane in self._lanes:
            lane.hidden ^= lane.letter == letter
        self._show()

    @on(Overlay.Toggled)
    def _toggled(self, event: Overlay.Toggled) -> None:
        self.action_run(event.letter)

    @work
    async def action_write(self) -> None:
        overlay, curve = self._overlay, self._overlay.panel.metric
        shown = [lane.run.id for lane in self._lanes if not lane.hidden and len(lane.curve(curve, overlay.axis))]
        if not shown:
            self.notify(overlay.nothing, severity="warning", markup=False)
            return
        await write_chart(
            self, shown, curves=[curve], axis=overlay.axis, log=overlay.view.log, weight=overlay.weight
        )

    @work
    async def action_view(self) -> None:
        runs = {lane.run.id: f"{lane.letter} {lane.label}" for lane in self._lanes}
        if chosen := await self.app.push_screen_wait(Pick("Watch which run?", runs)):
            self.post_message(WatchRun(chosen))

    @work
    async def action_add(self) -> None:
        runs = await attempt(others, self._ids)
        if isinstance(runs, Problem) or not runs:
            self.notify(runs.what if isinstance(runs, Problem) else "There is no other training.", markup=False)
        elif chosen := await self.app.push_screen_wait(Pick("Compare with which run?", runs)):
            self.app.switch_screen(CompareScreen([*self._ids, chosen]))
