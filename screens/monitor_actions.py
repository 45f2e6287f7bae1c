"""What one can ask of the run that is looked at; every request is a file in its inbox, or a new process."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import Any

from textual import work
from textual.screen import Screen

from ftui import bell
from ftui.diagnosis import Finding
from ftui.errors import Refused
from ftui.runs import control, inbox
from ftui.runs.folder import Run
from ftui.runs.status import RunStatus

from .background import Problem, attempt
from .dialogs import Confirm, Pick
from .monitor_watch import Watch

STOP_SECONDS = 120.0
"""How long a run may take to save and stop before its successor is given up."""


class RunActions(Screen[Any]):
    """The actions of a monitor as a mix-in: it provides `_watch` and `_status`."""

    NEEDS: dict[str, Callable[[RunStatus, Run], bool]] = {
        "stop": lambda status, run: status.live,
        "stop_now": lambda status, run: status.live,
        "command": lambda status, run: status.live and run.info.kind == "train",
        "resume": lambda status, run: status.over and status.state != "finished",
        "ask": lambda status, run: run.info.kind == "train" and run.output.exists() and not status.live,
        "report": lambda status, run: run.report.exists(),
    }
    """When an action makes sense; it isn't offered otherwise."""

    _watch: Watch
    _status: RunStatus | None
    _changes: list[str] = []
    """The settings, `a.b=c` each, that would help this run."""
    _finding: Finding | None = None
    """What the curves showed at the last look."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "fix":
            return bool(self._changes)
        needs = self.NEEDS.get(action)
        if needs is None:
            return super().check_action(action, parameters)
        return self._watch.run is not None and self._status is not None and needs(self._status, self._watch.run)

    def _heed(self, before: RunStatus | None, now: RunStatus, finding: Finding | None) -> None:
        """Ring where the run has just ended or paused, or its curves have just shown something grave."""
        heard, self._finding = self._finding, finding
        worse = finding is not None and finding.severity == "grave" and finding != heard
        if (bell.calls(before, now) or (worse and before is not None and now.live)) and bell.wanted():
            self.app.bell()

    def action_stop(self) -> None:
        self._ask_run(control.stop, "It saves and stops at the next step.")

    @work
    async def action_stop_now(self) -> None:
        question = "Stop this run at once?"
        if await self.app.push_screen_wait(Confirm(question, "What came after its last checkpoint may be lost.")):
            self._ask_run(lambda run: control.stop(run, now=True), "It was stopped.")

    def action_resume(self) -> None:
        self._ask_run(control.resume, "It goes on from its last checkpoint.")

    @work
    async def action_fix(self) -> None:
        """Start the run again as a new one, with what its remedy changes, and show that one."""
        run, changes = self._watch.run, self._changes
        if run is None or self._status is None or not changes:
            return
        live = self._status.live
        what = "This one saves and stops first, and stays." if live else "A new run; this one stays as it is."
        if not await self.app.push_screen_wait(Confirm(f"Start it again with {', '.join(changes)}?", what)):
            return
        self.notify("Stopping this run, then planning …" if live else "Planning the new run …", timeout=3, markup=False)
        new = await attempt(relaunch, run, changes)
        if isinstance(new, Problem):
            self.notify(new.hint, title=new.what, severity="error", timeout=8, markup=False)
        else:
            from .monitor import MonitorScreen

            self.app.switch_screen(MonitorScreen(new.id))

    def action_command(self, name: inbox.CommandName) -> None:
        said = {"checkpoint": "It saves a checkpoint after this step.", "evaluate": "It evaluates after this step."}
        self._ask_run(lambda run: inbox.send(run, name), said[name])

    def action_ask(self) -> None:
        from .try_run import TryScreen

        if self._watch.run is not None:
            self.app.push_screen(TryScreen(self._watch.run))

    def action_report(self) -> None:
        from .monitor_report import ReportScreen

        if self._watch.run is not None:
            self.app.push_screen(ReportScreen(self._watch.run))

    @work
    async def action_compare(self) -> None:
        """Lay this run over the one that it came from, or another."""
        from .compare import CompareScreen
        from .compare_lanes import others

        if (run := self._watch.run) is None:
            return
        runs = await attempt(others, [run.id])
        if isinstance(runs, Problem) or not runs:
            self.notify(runs.what if isinstance(runs, Problem) else "There is no other training.", markup=False)
        elif chosen := await self.app.push_screen_wait(Pick("Compare with which run?", runs)):
            self.app.push_screen(CompareScreen([run.id, chosen]))

    @work
    async def action_copy(self) -> None:
        if (run := self._watch.run) is None:
            return
        command = await self.app.push_screen_wait(Pick("Copy a command", commands(run)))
        if command is not None:
            self.app.copy_to_clipboard(command)
            self.notify(command, title="Copied", timeout=4, markup=False)

    @work(group="ask")
    async def _ask_run(self, function: Callable[[Run], object], said: str) -> None:
        """Do something to the run beside the app's loop, and say that it was done, or why not."""
        if (run := self._watch.run) is None:
            return
        outcome = await attempt(function, run)
        self._watch.forget_status()
        if isinstance(outcome, Problem):
            self.notify(outcome.hint, title=outcome.what, severity="error", timeout=8, markup=False)
        else:
            self.notify(said, timeout=4, markup=False)


def relaunch(run: Run, changes: list[str]) -> Run:
    """Launch a new run from this one's recipe with these changes, `a.b=c` each; a run that goes on is stopped first.

    Raises Refused where it doesn't stop in `STOP_SECONDS`: the two would share a device.
    """
    from ftui.runs.command import ask, launch_command
    from ftui.runs.launch import launch, lay_out

    reference = str(run.path / "recipe.yaml")
    recipe = ask(reference, settings=changes).recipe
    if run.status().live:
        control.stop(run)
        until = time.monotonic() + STOP_SECONDS
        while run.status().live:
            if time.monotonic() > until:
                raise Refused(f"{run.id} hasn't stopped yet; it saves at the end of its step.", "Press f again then.")
            time.sleep(0.3)
    layout = lay_out(recipe, preset=run.info.preset)
    return launch(layout, command=launch_command(layout.asked, reference=reference))


def commands(run: Run) -> dict[str, str]:
    """Command lines that concern this run, with what each is for."""
    found = {f"ftui watch {run.id}": "this monitor"}
    if run.info.command:
        found[run.info.command] = "make the run again"
    if run.output.exists():
        folder = shlex.quote(str(run.output))
        found[f"scp -r {run.info.host}:{folder} ./{shlex.quote(run.info.name)}"] = "fetch the result from elsewhere"
        found[f"ftui try {run.id}"] = "tuned and base model side by side"
    return found
