"""`JobContext`: what a job gets to work with, and all that it may say."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.runs import inbox
from ftui.runs.document import EventKind, RunInfo
from ftui.runs.folder import Run
from ftui.runs.inbox import Command
from ftui.runs.writer import RunWriter

INBOX_SECONDS = 0.5
PROGRESS_SECONDS = 0.25


@dataclass
class Outcome:
    """How a job says that it ended; `status` None leaves it to whether a stop was asked for and seen."""

    text: str
    metrics: dict[str, Any] = field(default_factory=dict)
    output: str | None = None
    status: Literal["finished", "stopped", "failed"] | None = None
    hint: str | None = None


BEGAN = "FTUI_WORKER_BEGAN"
"""Where a process that takes a run over from itself finds when that began: a monotonic time in seconds."""


class StartAgain(Exception):
    """Raised by a job that is to be begun again in a fresh process: what a library holds on to is gone there."""


class JobContext:
    """The one object that a job's `run(context)` receives.  It is used from the job's main thread."""

    def __init__(self, run: Run, writer: RunWriter) -> None:
        self._run, self._writer = run, writer
        self._commands: list[Command] = []
        self._foreign: set[str] = set()
        self._stop_reason: str | None = None
        self._stop_seen = self._stop_delivered = False
        self._looked = float("-inf")
        self._progress = ("", float("-inf"))
        self.began = float(os.environ.pop(BEGAN, 0) or time.monotonic())
        self._deadline: float | None = None
        self._listener: Callable[[EventKind, int | None, dict[str, Any]], None] | None = None
        self.outcome: Outcome | None = None

    @property
    def run(self) -> Run:
        """The run folder as the near side sees it."""
        return self._run

    @property
    def folder(self) -> Path:
        """The run folder; the worker's working directory is another."""
        return self._run.path

    @property
    def output(self) -> Path:
        """Where the result goes; the job makes it, complete or not at all."""
        return self._run.output

    @property
    def info(self) -> RunInfo:
        """run.json."""
        return self._run.info

    @property
    def attempt(self) -> int:
        """1 for the first start, one more for each resume."""
        return self._writer.attempt

    def recipe(self) -> Recipe:
        """The resolved recipe; BadInput where this kind of job needs one and there is none."""
        recipe = self._run.recipe()
        if recipe is None:
            raise BadInput(f"The run {self._run.id} has no recipe.yaml.", "Launch it anew from a recipe.")
        return recipe

    def emit(self, kind: EventKind, step: int | None = None, **data: Any) -> None:
        """Append an event; see `Event` for what each kind holds.  `end` is the frame's: use `finish()`."""
        if kind == "end":
            raise ValueError("a job ends by finish() or by raising; the frame writes the end")
        if step is not None:
            self._writer.progressed()
        self._writer.emit(kind, step, **data)
        if self._listener is not None:
            self._listener(kind, step, data)

    def listen(self, listener: Callable[[EventKind, int | None, dict[str, Any]], None]) -> None:
        """Have `listener` told of each event from now on, once it is written; it may emit others."""
        self._listener = listener

    def sync(self) -> None:
        """Make sure that all events so far are on the disk: before what counts on them is."""
        self._writer.sync()

    def progress(self, text: str, done: float, total: float | None, unit: str = "step") -> None:
        """Move the progress bar, as often as one likes: what comes within a quarter of a second is left out, but never
        the first and the last of a bar."""
        self._writer.progressed()
        now = time.monotonic()
        shown, when = self._progress
        if text == shown and done != total and now - when < PROGRESS_SECONDS:
            return
        self._progress = (text, now)
        step = int(done) if unit == "step" else None
        self._writer.emit("progress", step, text=text, done=done, total=total, unit=unit)

    def warn(self, text: str, hint: str | None = None, step: int | None = None) -> None:
        """Say something that the user should know, with what to do about it."""
        self._writer.emit("warning", step, text=text, hint=hint)

    def commands(self) -> list[Command]:
        """The commands that came in since the last call, oldest first; a `stop` is among them and sets `stop_asked`."""
        self._look(at_once=True)
        commands, self._commands = self._commands, []
        if self.stop_asked and not self._stop_delivered:
            self._stop_delivered = True
            commands.append(Command("stop"))
        return commands

    @property
    def stop_asked(self) -> bool:
        """Whether the job should save and return now: by command, by signal, or by its time limit.

        Cheap enough for every step: the inbox is looked into every half second.
        """
        self._look()
        if self._stop_reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self.ask_stop("its time limit was reached")
        self._stop_seen |= self._stop_reason is not None
        return self._stop_reason is not None

    @property
    def stop_seen(self) -> bool:
        """Whether the job has been told of the stop: the frame then calls the end "stopped"."""
        return self._stop_seen

    @property
    def stop_reason(self) -> str | None:
        """Why, as the rest of a sentence that begins with "Stopped, because"."""
        return self._stop_reason

    def ask_stop(self, reason: str) -> None:
        """Ask for a stop on someone's behalf; safe in a signal handler."""
        if self._stop_reason is None:
            self._stop_reason = reason

    def begin(self) -> None:
        """Count the hours from now on: what went before was waiting."""
        self.began = time.monotonic()

    def limit_hours(self, hours: float | None) -> None:
        """Ask for a stop once this attempt has lasted `hours`."""
        self._deadline = None if hours is None else self.began + hours * 3600

    def finish(
        self,
        text: str,
        metrics: dict[str, Any] | None = None,
        output: str | Path | None = None,
        status: Literal["finished", "stopped", "failed"] | None = None,
        hint: str | None = None,
    ) -> None:
        """Say in one sentence how it ended, with the final metrics and where the result is (the default: `output/`,
        where it exists).  Without `status` it is "stopped" if a stop was seen, else "finished"."""
        if output is None and self.output.exists():
            output = self.output
        self.outcome = Outcome(text, metrics or {}, None if output is None else str(output), status, hint)

    def _look(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now - self._looked < INBOX_SECONDS:
            return
        self._looked = now
        taken = inbox.take(self.folder)
        for name in set(taken.foreign) - self._foreign:
            self._foreign.add(name)
            self.warn(
                f"A command in the inbox ({name[:80]}) is not from this run's owner, and was not obeyed.",
                f"Others can write there: chmod 700 {self.folder} {self.folder / 'inbox'}",
            )
        for command in taken.commands:
            if command.name == "stop":
                self.ask_stop("it was asked to")
            else:
                self._commands.append(command)
