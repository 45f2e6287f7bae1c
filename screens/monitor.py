"""The monitor: one run, live.  It only reads; closing it never touches the run."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import ContentSwitcher

from ftui.runs.smoothing import LEVELS
from ftui.runs.status import RunStatus
from ftui.units import plain

from . import monitor_words as words
from .background import Problem, attempt
from .chart_file import write_chart
from .monitor_actions import RunActions
from .monitor_charts import ChartsPane
from .monitor_keys import TABS, bindings
from .monitor_panels import View, ends, points_of
from .monitor_picture import Picture
from .monitor_plan import plan_view
from .monitor_watch import Look, StageSeen, Watch, memory_limits
from .page import Page
from .widgets.event_view import EventView
from .widgets.frame import TitleBar
from .widgets.gauges import ProgressLines
from .widgets.log_view import LogView
from .widgets.sample_view import SampleView
from .widgets.static import Static
from .widgets.tab_line import TabLine

LOOK_SECONDS, LOOK_SECONDS_OVER = 1.0, 3.0
"""Between two looks at the run's files: while it goes on, and once it is over (somebody may resume it elsewhere)."""
AXES = ("step", "time", "epoch")
CHART_ACTIONS = {"log_scale", "turn", "smooth", "zoom", "pan", "reset", "axis", "write"}


class MonitorScreen(RunActions, Page[None]):
    """Draws the run with this id from its files, from its first event on, and asks it for things through its inbox."""

    TITLE = "monitor"
    ABOUT = "One run, live. This page only reads the run's files: closing it never touches the run."
    CSS_PATH = "monitor.tcss"
    BINDINGS = bindings()
    # On the charts nothing has the focus, lest a list in a hidden tab take the arrow keys.
    AUTO_FOCUS = ""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._watch = Watch(run_id)
        self._status: RunStatus | None = None
        self._looking = False
        self._looked = 0.0
        self._drawn = -1
        """`Picture.changes` when the tab in sight was drawn."""
        self._offered: object = None
        """What the keys on offer were decided by."""
        self._tab = TABS[0]
        self._stage: StageSeen | None = None
        """Of a run that leads others the one to look at."""
        self._said = ""
        """What stands above the tabs: how the run ended, or what its curves show."""

    def compose_body(self) -> ComposeResult:
        yield ProgressLines(id="progress")
        yield Static(id="outcome", markup=False)
        yield TabLine(TABS, id="tabs")
        with ContentSwitcher(initial="waiting"):
            yield Static("Reading the run …", id="waiting", markup=False)
            yield ChartsPane(id="charts")
            yield SampleView(id="samples")
            yield EventView(id="events")
            yield LogView(id="log")
            with VerticalScroll(id="plan"):
                yield Static(id="plan-text")

    async def on_mount(self) -> None:
        self.query_one("#outcome").display = False
        opened = await attempt(self._watch.open)
        if isinstance(opened, Problem):
            self.query_one("#waiting", Static).update(f"{opened.what}\n{opened.hint}")
            self.query_one("#waiting").add_class("-wrong")
            return
        self.query_one(TitleBar).say(title=plain(opened.info.name))
        self.say(command=f"ftui watch {opened.id}")
        self.set_interval(LOOK_SECONDS, self._tick)
        self._tick()

    def _tick(self) -> None:
        """Look at the run's files unless a look is under way, nobody sees it, or the run is over and was just seen."""
        over = self._status is not None and self._status.over and time.monotonic() - self._looked < LOOK_SECONDS_OVER
        if not self._looking and self.is_current and not over:
            self._looking = True
            self.run_worker(self._look(), group="look")

    async def _look(self) -> None:
        try:
            drawn, pause = 0.0, LOOK_SECONDS
            while True:
                look = await attempt(self._watch.look)
                if not self.app.is_running:
                    return
                if isinstance(look, Problem):
                    self.notify(f"{look.what} {look.hint}", severity="error", markup=False)
                    return
                self._watch.fold(look)
                # With help or the report on top nothing is drawn; `on_screen_resume` makes up for it.
                if self.is_current and (not look.behind or time.monotonic() - drawn > pause):
                    # Of a long past less and less often: each drawing keeps the rest waiting.
                    self._show(look)
                    drawn, pause = time.monotonic(), pause * 2
                if self._watch.worth_saving:
                    await attempt(self._watch.save, self._watch.picture.state())
                if not look.behind:
                    return
        finally:
            self._looking, self._looked = False, time.monotonic()

    @property
    def _picture(self) -> Picture:
        return self._watch.picture

    def _show(self, look: Look) -> None:
        """Draw what is new; each widget decides for itself whether that changes it."""
        before, self._status = self._status, look.status
        picture, status = self._picture, look.status
        self._heed(before, status, picture.diagnosis)
        self._changes = words.changes(picture, status)
        self._stage = words.at_work(look.stages)
        offered = (status.state, status.attempt, bool(picture.metrics), self._stage is None, *self._changes)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()
        share, text = words.progress(picture, status)
        self.query_one(ProgressLines).show(share, text, words.facts(picture, status), words.tone(status.state))
        self.query_one(TitleBar).say(status=words.state(status))
        self.say(next=words.next_step(picture, status, self._watch.run))
        outcome = self.query_one("#outcome", Static)
        over = status.over or status.state == "unreachable"
        said = words.outcome(status, self._watch.run) if over else words.seen(picture)
        outcome.display = bool(said)
        if said != self._said:
            self._said = said
            outcome.update(said)
            outcome.set_classes(f"-{words.tone(status.state) if over else 'warning'}")
        if not picture.metrics and self._tab == "charts":
            self.query_one("#waiting", Static).update(
                words.waiting(picture, status, self._watch.tail, self._watch.run, look.stages)
            )
        if look.log_grew or picture.changes != self._drawn or before is None:
            self._draw()

    def _draw(self) -> None:
        """Draw the tab in sight."""
        picture = self._picture
        self._drawn = picture.changes
        counts = {"samples": len(picture.samples), "events": len(picture.lines)}
        self.query_one(TabLine).show(self._tab, self._note(), {k: f" {n}" for k, n in counts.items() if n})
        match self._tab:
            case "charts":
                self.query_one(ContentSwitcher).current = "charts" if picture.metrics else "waiting"
                total = picture.peak("gpu_total_bytes")
                self.query_one(ChartsPane).show(picture, memory_limits(self._watch.plan, total))
            case "samples":
                self.query_one(SampleView).show(picture)
            case "events":
                self.query_one(EventView).show(picture)
            case "log":
                self.query_one(LogView).show(self._watch.tail)
            case "plan":
                text = plan_view(self._watch.plan, self._watch.recipe_text, picture)
                self.query_one("#plan-text", Static).update(text)

    def _note(self) -> str:
        """How the charts are looked at, where that isn't as they come."""
        return words.view(self.query_one(ChartsPane).view, self._picture) if self._tab == "charts" else ""

    def on_charts_pane_changed(self) -> None:
        self.query_one(TabLine).show(note=self._note())

    def on_screen_resume(self) -> None:
        self._tick()

    def term(self) -> str | None:
        return words.TERMS.get(self.query_one(ChartsPane).main) if self._tab == "charts" else None

    def action_tab(self, name: str) -> None:
        self._tab = name
        if name != "charts":
            self.query_one(ContentSwitcher).current = name
        scrolled = {"samples": "#samples VerticalScroll", "charts": ""}.get(name, f"#{name}")
        self.set_focus(self.query_one(scrolled) if scrolled else None)
        self.refresh_bindings()
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in CHART_ACTIONS:
            return self._tab == "charts" and bool(self._picture.metrics)
        if action == "stage":
            return self._stage is not None
        return self._tab == "samples" if action in ("sample", "prompt") else super().check_action(action, parameters)

    def action_stage(self) -> None:
        if self._stage is not None:
            self.app.push_screen(MonitorScreen(self._stage.run))

    def action_log_scale(self) -> None:
        self._view(log=not self.query_one(ChartsPane).view.log)

    def action_smooth(self, by: int) -> None:
        level = self.query_one(ChartsPane).view.level_in_use(points_of(self._picture))
        self._view(level=min(max(level + by, 0), len(LEVELS) - 1))

    def action_zoom(self, factor: float) -> None:
        pane = self.query_one(ChartsPane)
        pane.look(pane.view.zoomed(ends(self._picture), factor))

    def action_pan(self, share: float) -> None:
        pane = self.query_one(ChartsPane)
        pane.look(pane.view.panned(ends(self._picture), share))

    def action_reset(self) -> None:
        self.query_one(ChartsPane).look(View())

    def action_axis(self) -> None:
        now = self.query_one(ChartsPane).view.axis
        self._view(axis=AXES[(AXES.index(now) + 1) % len(AXES)])

    def action_turn(self, by: int) -> None:
        self.query_one(ChartsPane).turn(by)

    @work
    async def action_write(self) -> None:
        """Draw the large chart into files: the whole run, as smooth as it is here."""
        pane, picture = self.query_one(ChartsPane), self._picture
        panel, view = pane.main_panel, pane.view
        names = [name for name in (panel.metric, panel.second) if name and name in picture.metrics]
        if self._watch.run is not None and names:
            await write_chart(
                self, [self._watch.run.id], curves=names,
                axis="time" if view.axis == "time" else "step", log=view.log,
                weight=view.weight(points_of(picture)) if panel.smooth else 0.0,
            )

    def action_sample(self, by: int) -> None:
        self.query_one(SampleView).turn(by)

    def action_prompt(self, by: int) -> None:
        self.query_one(SampleView).go(by)

    def _view(self, **changes: Any) -> None:
        pane = self.query_one(ChartsPane)
        pane.look(replace(pane.view, **changes))
