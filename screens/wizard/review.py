"""The Review step: what would run, what speaks against it, and the key that launches it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content

from ftui import recipe
from ftui.errors import BadInput, FtuiError
from ftui.methods import OBJECTIVES
from ftui.runs.command import launch_command
from ftui.runs.logout import survival
from ftui.units import gib, plain

from .. import lookups
from ..background import OneAtATime, Problem, attempt_for
from ..dialogs import Ask, Confirm
from ..widgets.static import Static
from .checkup_words import unrepaired
from .cost import cost_line
from .methods import short_name
from .state import KINDS, WizardState
from .step import Assigned, Launched, Redrawn, Step, problem_text, said
from .words import shown_value

if TYPE_CHECKING:
    from ftui.runs.launch import Layout


class ReviewStep(Step):
    """Enter launches; what would make the run fail is asked about first."""

    BINDINGS = [
        Binding("enter", "launch", "Launch", tooltip="Start the run in the background"),
        Binding("w", "queue", "Queue", tooltip="Start it once a device is free, after the runs queued before it"),
        Binding("c", "copy_command", "Copy command", tooltip="Copy the command line to the clipboard (OSC 52)"),
        Binding("y", "copy_recipe", "Copy recipe", show=False, tooltip="Copy the recipe as YAML (OSC 52)"),
        Binding("s", "save", "Save", tooltip="Save the recipe to a file"),
        Binding("t", "limit", "Time limit", tooltip="Stop with a checkpoint after some hours"),
        Binding("m", "name", "Name", show=False, tooltip="Name the run"),
    ]

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._against: list[Problem] = []
        self._warnings: list[Content] = []
        self._checked: Layout | None = None
        self._checks = OneAtATime()
        self._launching = False
        self._due = False
        """Whether enter was pressed before the last edit was planned."""

    def compose(self) -> ComposeResult:
        yield Static(classes="said")
        with VerticalScroll(id="page"):
            yield Static(id="summary")
            yield Static(id="recipe")

    def show(self, state: WizardState) -> None:
        super().show(state)
        line = said(state, "plan") or said(state, "edit") or _planning(state)
        self.query_one(".said", Static).update(line or "")
        self.query_one(".said").display = line is not None
        if state.layout is None:
            return
        if state.layout is not self._checked:
            self._check(state.layout)
        self._draw(state, state.layout)
        if "plan" in state.problems:
            self._due = False
        if self._due and not state.outdated:
            self._due = False
            self.action_launch()

    def _draw(self, state: WizardState, layout: Layout) -> None:
        against = [_title("In the way"), *map(problem_text, self._against)] if self._against else []
        lines = [*summary(state, layout), *against, *changes(state, layout), *self._warnings, Content("")]
        self.query_one("#summary", Static).update(Content("\n").join(lines))
        text = Content("\n").join([_title("Recipe, whole"), Content(plain(recipe.write(layout.recipe)))])
        self.query_one("#recipe", Static).update(text)

    def set_focus(self) -> None:
        self.query_one("#page").focus()

    @work(exclusive=True, group="check")
    async def _check(self, layout: Layout) -> None:
        self._checked = layout
        found = await self._checks.attempt_for(self, lookups.obstacles, layout)
        if isinstance(found, Problem):
            self._against = [found]
        else:
            self._against = [Problem(obstacle.what, obstacle.hint) for obstacle in found]
        life = await attempt_for(self, survival)
        if not isinstance(life, Problem) and life.warning:
            self._warnings = [problem_line(life.warning, life.hint or "")]
        if self.state.layout:
            self._draw(self.state, self.state.layout)
        self.post_message(Redrawn())

    # What its keys do.

    def action_launch(self) -> None:
        self._begin(queued=False)

    def action_queue(self) -> None:
        self._begin(queued=True)

    def _begin(self, *, queued: bool) -> None:
        layout = self.state.layout
        if self._launching:
            return
        if layout is None or self.state.outdated:
            # What would start now is not what was asked for; it does as soon as that is planned.
            self._due = "plan" not in self.state.problems and not queued
            return
        if self._against:
            question = Confirm("Launch all the same?", "\n".join(problem.what for problem in self._against))
            self.app.push_screen(question, lambda sure: self._agreed(layout, queued, sure))
        else:
            self._launch(layout, force=False, queued=queued)

    def _agreed(self, layout: Layout, queued: bool, sure: bool | None) -> None:
        if sure:
            self._launch(layout, force=True, queued=queued)

    @work(exclusive=True, group="launch")
    async def _launch(self, layout: Layout, force: bool, queued: bool) -> None:
        self._launching = True
        self.query_one(".said").display = True
        self.query_one(".said", Static).update(Content("… queueing the run" if queued else "… starting the run"))
        command = f"{self.command()} --queue" if queued else self.command()
        found = await attempt_for(self, lookups.launch, layout, command, force, queued)
        self._launching = False
        if isinstance(found, Problem):
            self.query_one(".said", Static).update(problem_text(found))
        else:
            self.post_message(Launched(found.id))

    def action_copy_command(self) -> None:
        self.app.copy_to_clipboard(self.command())
        self.notify("Copied the command.", timeout=2)

    def action_copy_recipe(self) -> None:
        self.app.copy_to_clipboard(self._recipe_text())
        self.notify("Copied the recipe.", timeout=2)

    def _recipe_text(self) -> str:
        asked = self.state.asked
        return recipe.write(asked, only=recipe.asked(asked))

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        name = f"{self.state.asked.name}.yaml"
        hint = "Only what you set is written; the planner fills the rest at launch."
        question = Ask("Save the recipe to", name, hint)
        path = await self.app.push_screen_wait(question)
        if not path:
            return
        wrong = await attempt_for(self, save, Path(path).expanduser(), self._recipe_text())
        said_so = f"{wrong.what} {wrong.hint}" if isinstance(wrong, Problem) else f"Saved. ftui launch {path} runs it."
        self.notify(said_so, severity="warning" if isinstance(wrong, Problem) else "information")

    @work(exclusive=True, group="ask")
    async def action_limit(self) -> None:
        now = self.state.asked.compute.max_hours
        hours = await self.app.push_screen_wait(
            Ask("Stop after how many hours?", "" if now is None else f"{now:g}", "Empty for no limit; it saves first.")
        )
        if hours is not None:
            self.post_message(Assigned({"compute.max_hours": hours.strip() or None}))

    @work(exclusive=True, group="ask")
    async def action_name(self) -> None:
        name = await self.app.push_screen_wait(Ask("Name of the run", self.state.asked.name))
        if name:
            self.post_message(Assigned({"name": name.strip()}))

    # The frame.

    def next_line(self) -> str:
        if self.state.layout is None or self.state.outdated:
            return "It is being planned; enter starts the run as soon as that is done."
        if self._against:
            return "Something is in the way, see below; enter asks before it starts the run."
        return "Enter starts the run, w queues it; either outlives this terminal."

    def command(self) -> str:
        layout = self.state.layout
        if layout is None:
            return ""
        asked = self.state.asked if self.state.outdated else layout.asked
        return launch_command(asked, reference=self.state.preset)


def _planning(state: WizardState) -> Content | None:
    if state.layout is None:
        return Content("… planning the run")
    return Content("… planning what was just edited; what stands below is from before it") if state.outdated else None


def summary(state: WizardState, layout: Layout) -> list[Content]:
    """What would run, what it costs, and the disk it needs, in a few lines."""
    run = layout.recipe
    sources = plain(", ".join(source.path for source in run.data.sources))
    option = state.chosen
    lines = [
        Content.assemble((run.name, "bold"), f": {option.title if option else run.adapter.kind} of {run.model.base} by "
                         f"{learnt_by(run)} on {sources}, {layout.profile.rows:,} rows"),
        cost_line(state, wide=True, edited=False),
        Content.assemble(("disk ", "dim"), (gib(layout.estimate.disk_bytes), "bold"), " of ", _room(layout),
                         ("    result ", "dim"), gib(layout.estimate.adapter_bytes)),
    ]
    if layout.stages:
        lines.insert(1, stages_line(layout))
    hours = run.compute.max_hours
    if hours is not None:
        lines.append(Content(f"stops with a checkpoint after {hours:g} h"))
    return lines


def stages_line(layout: Layout) -> Content:
    """What follows the first stage: each with how it learns and what it starts from; memory is the heaviest one's."""
    names = [each.stage.name for each in layout.stages]
    parts = []
    for each in layout.stages:
        left = "merged model" if each.stage.start == "merged" else each.stage.start
        start = "" if each.stage.after is None else f" from the {left} of {names[each.stage.after]}"
        parts.append(f"{each.stage.name} by {learnt_by(each.layout.recipe)}{start}")
    return Content(plain(f"in {len(parts)} stages: {', then '.join(parts)}; the memory is that of the heaviest"))


def learnt_by(run: recipe.Recipe) -> str:
    """The objective by its name, with what rewards it where something does: nothing of it may come as a surprise."""
    row = OBJECTIVES[run.objective.kind]
    name = short_name(run.objective.kind, row.title)
    rewards = ", ".join(getattr(run.objective, "rewards", ()))
    said = row.inline if name == row.title else name
    return f"{said}, rewarded by {rewards}," if rewards else said


def changes(state: WizardState, layout: Layout) -> list[Content]:
    """What differs from the starting point, and what of the whole looks risky."""
    run, lines = layout.recipe, []
    start = f"the preset {state.preset}" if state.preset else "what is recommended"
    edits = sorted(state.edited - {"model.base", "data.sources"})
    if edits:
        lines.append(_title(f"Yours, against {start}"))
        for path in edits:
            choice = state.reason(path)
            was = shown_value(choice.value) if choice else _base_value(state, path)
            now = Content(f" {_value(run, path)}")
            lines.append(Content.assemble("  ", (path, "bold"), now, (f"  in place of {was or 'none'}", "dim")))
    risks = [(f"{risk.path}: {risk.text}", risk.hint) for risk in layout.risks]
    if left := unrepaired(state):
        risks.append((f"data: the check-up found {left}.", "c on the Data step shows where, and mends what can be."))
    if risks:
        lines.append(_title("Worth a look"))
    return lines + [problem_line(*risk) for risk in risks]


def problem_line(what: str, hint: str) -> Content:
    """A warning: what looks wrong, and what to do."""
    return Content.assemble(("! ", "bold $text-warning"), Content(what), ("\n  → ", "$text-accent"), Content(hint))


def save(path: Path, text: str) -> None:
    """Write a recipe that isn't there yet; BadInput where a file of this name is."""
    if path.exists():
        raise BadInput(f"{path} exists already.", "Choose another name.")
    path.write_text(text, encoding="utf-8")


def _room(layout: Layout) -> str:
    disk = next((disk for disk in layout.hardware.disks if disk.purpose == "runs"), None)
    return f"{gib(disk.free_bytes)} free at {disk.path}" if disk else "an unknown amount"


def _value(run: recipe.Recipe, path: str) -> str:
    try:
        return shown_value(recipe.get(run, path))
    except FtuiError:
        return "–"


def _base_value(state: WizardState, path: str) -> str:
    return _value(state.base if path in KINDS else state.start, path)


def _title(text: str) -> Content:
    return Content.styled(text, "bold $text-primary")
