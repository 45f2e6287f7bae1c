"""The dry trace: the very step that would be trained, run without a GPU, and where in it the memory goes."""

from __future__ import annotations

from asyncio import sleep
from time import monotonic
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content

from ftui import planner, tracing
from ftui.planner.document import MemoryEstimate, Trace
from ftui.runs.control import stop
from ftui.runs.folder import Run
from ftui.runs.follow import Follower
from ftui.timeline import AXIS, MARKS, OTHER, side_line, timeline
from ftui.units import clock, gib, plain

from .background import Problem, attempt_for
from .monitor_picture import Picture
from .page import Page
from .widgets.memory_bar import COLOURS
from .widgets.static import Static

if TYPE_CHECKING:
    from ftui.data.document import DataProfile
    from ftui.hardware.document import Hardware
    from ftui.models.document import ModelShape
    from ftui.recipe import Recipe

LOOK_SECONDS = 0.3
HEIGHTS = (6, 14)
"""Least and most rows of the timeline."""


class TraceScreen(Page[Trace | None]):
    """Traces one recipe, or shows the trace that there is; it is dismissed with the trace, None where there is none."""

    TITLE = "dry trace"
    ABOUT = "Runs one training step on tensors without content, in your own libraries: the peak to the percent, no GPU."
    CSS_PATH = "trace.tcss"
    BINDINGS = [
        Binding("f", "full", "Every layer", tooltip="Trace every layer, where only a few were and the rest follows"),
        Binding("x", "stop", "Stop", tooltip="Stop the trace"),
    ]

    def __init__(
        self, recipe: Recipe, shape: ModelShape, hardware: Hardware, profile: DataProfile | None,
        *, command: str,
    ) -> None:
        """`recipe` is resolved; `command` does the same without a screen."""
        super().__init__()
        self._asked = (recipe, shape, hardware, profile)
        self._model, self._command = shape.name, command
        self._estimate = planner.estimate(recipe, hardware, shape, profile).memory
        self._trace: Trace | None = None
        self._run: Run | None = None

    def compose_body(self) -> ComposeResult:
        yield Static(id="state")
        with VerticalScroll():
            yield Static(id="found")

    def on_mount(self) -> None:
        self.say(status=plain(self._model), command=self._command)
        self._look(full=False)

    def on_resize(self) -> None:
        self._draw()

    @work(exclusive=True)
    async def _look(self, *, full: bool) -> None:
        """Show the trace that is kept, else make one and follow it."""
        state = self.query_one("#state", Static)
        if not full:
            kept = await attempt_for(self, tracing.cached, *self._asked)
            if isinstance(kept, Trace):
                self._show(kept)
                return
        state.update(_doing("Starting: the training libraries take seconds to load."))
        self.say(next="Wait, or leave with escape: the trace goes on and its result is kept.")
        run = await attempt_for(self, tracing.start, *self._asked, full=full)
        if isinstance(run, Problem):
            self._fail(run)
            return
        self._run = run
        self.refresh_bindings()
        await self._follow(run)
        self._run = None
        self.refresh_bindings()

    async def _follow(self, run: Run) -> None:
        state, follower, seen = self.query_one("#state", Static), Follower(run), Picture()
        began = monotonic()
        while True:
            status, events = await attempt_for(self, run.status), await attempt_for(self, follower.poll)
            if isinstance(status, Problem) or isinstance(events, Problem):
                self._fail(status if isinstance(status, Problem) else events)
                return
            seen.take(events)
            if status.over:
                break
            state.update(_doing(f"{plain(seen.doing or status.text)}  {monotonic() - began:.0f} s"))
            await sleep(LOOK_SECONDS)
        found = await attempt_for(self, tracing.finished, run)
        if isinstance(found, Trace):
            self._show(found)
        else:
            self._fail(found)

    def _fail(self, problem: object) -> None:
        text = Content("The trace can't be read.")
        if isinstance(problem, Problem):
            text = Content(f"{problem.what} {problem.hint}".strip())
        self.query_one("#state", Static).update(Content.assemble(("✗ ", "bold $text-error"), text))
        self.say(next="Escape goes back; the estimate stays what it was.")

    def _show(self, trace: Trace) -> None:
        self._trace = trace
        self.query_one("#state", Static).update("")
        more = "" if trace.whole else " f traces every layer."
        self.say(next=f"Escape goes back and takes the traced numbers along.{more}")
        self.refresh_bindings()
        self._draw()

    def _draw(self) -> None:
        if self._trace is not None:
            width = max(self.size.width - 2, 40)
            height = min(max(self.size.height - 16, HEIGHTS[0]), HEIGHTS[1])
            lines = [*compared(self._trace, self._estimate), Content(""), *drawn(self._trace, width, height)]
            self.query_one("#found", Static).update(Content("\n").join(lines))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "stop":
            return self._run is not None
        if action == "full":
            return self._run is None and self._trace is not None and not self._trace.whole
        return super().check_action(action, parameters)

    def action_full(self) -> None:
        self._look(full=True)

    def action_stop(self) -> None:
        if self._run is not None:
            stop(self._run)

    def action_back(self) -> None:
        self.dismiss(self._trace)


def _doing(text: str) -> Content:
    return Content.assemble(("… ", "bold $text-accent"), text)


def compared(trace: Trace, estimate: MemoryEstimate) -> list[Content]:
    """The traced numbers beside the formula's, where the peak stands, and what was traced."""
    memory = trace.memory
    rows = [
        ("allocated", estimate.allocated_bytes, memory.allocated_bytes),
        ("reserved", estimate.reserved_bytes, memory.reserved_bytes),
        ("process", estimate.process_bytes, memory.process_bytes),
    ]
    lines = [Content.styled(f"{'':11}{'≈ estimate':>12}{'◆ traced':>12}{'':4}difference", "dim")]
    for name, formula, traced in rows:
        off = formula / traced - 1 if traced else 0.0
        style = "$text-success" if abs(off) <= 0.01 else "$text-warning" if abs(off) <= 0.03 else "$text-error"
        lines.append(Content.assemble(
            f"{name:11}{gib(formula, 2):>12}", (f"{gib(traced, 2):>12}", "bold"), ("    formula ", "dim"),
            (f"{off:+.1%}", style),
        ))
    lines.append(Content.assemble(("peak at ", "dim"), (plain(trace.where), "bold"), ("  in ", "dim"), memory.phase))
    versions = " ".join(f"{name} {version}" for name, version in trace.versions.items())
    lines.append(Content.styled(f"{trace.depth} traced in {clock(trace.seconds)}; {versions}", "dim"))
    return lines + [Content.styled(plain(note), "dim") for note in trace.notes]


def drawn(trace: Trace, width: int, height: int) -> list[Content]:
    """The step as a stacked picture with its axis, its sides and a legend."""
    picture = timeline(trace.timeline, width - AXIS - 1, height)
    lines = [
        Content.assemble((f"{label:>{AXIS}} ", "dim"), *((_mark(name), COLOURS.get(name, "$text")) for name in row))
        for label, row in picture.rows
    ]
    gap = " " * (AXIS + 1)
    lines.append(Content.assemble((f"{gib(picture.base_bytes):>{AXIS}} ", "dim"),
                                  (side_line(picture.sides, width - AXIS - 1), "dim")))
    legend = [Content.assemble((_mark(name), COLOURS.get(name, "$text")), f" {name}") for name in picture.parts]
    return [*lines, Content.assemble(gap, Content("  ").join(legend))]


def _mark(part: str) -> str:
    return MARKS.get(part, OTHER) if part else " "
