"""The check-up beside the wizard: what is looked through, how far it is, and what was found so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.message import Message

from ftui.data.document import CheckUp, Finding

from .. import lookups
from ..background import Problem, attempt_for

if TYPE_CHECKING:
    from textual.screen import Screen

    from ftui.models.document import ModelShape
    from ftui.recipe import Recipe


class Wanted(NamedTuple):
    """All that a check-up depends on: while it stays, what was found stays true."""

    data: tuple[Any, ...]
    template: str
    loss_on: str
    max_length: int | None
    rank: int | None
    model: str | None
    deep: bool
    against: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """A check-up at one moment.  `total` is about how many rows there are, None where that can't be told."""

    wanted: Wanted
    done: int = 0
    total: int | None = None
    counting: bool = False
    """The rows are read, and their tokens are being counted."""
    findings: tuple[Finding, ...] = ()
    state: str = "running"
    """running, finished, stopped, or failed."""
    problem: Problem | None = None

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass
class Looked(Message):
    """How far the check-up is."""

    look: Look


def wanted(draft: Recipe, shape: ModelShape | None, *, deep: bool, against: tuple[str, ...]) -> Wanted:
    """What a check-up of this draft's data depends on."""
    length, rank = draft.data.max_length, getattr(draft.adapter, "rank", None)
    return Wanted(
        draft.data.sources, draft.data.template, draft.objective.loss_on, length if isinstance(length, int) else None,
        rank if isinstance(rank, int) else None, shape.ref if shape else None, deep, against,
    )  # fmt: skip


class Checks:
    """Runs one check-up at a time for a screen, which hears of it by `Looked`."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._stop = Event()
        self._look: Look | None = None

    def ask(self, draft: Recipe, shape: ModelShape | None, asked: Wanted, *, again: bool = False) -> None:
        """Begin what is asked, unless it runs or was done already; another one that runs is ended."""
        if not again and self._look is not None and self._look.wanted == asked:
            return
        self._stop.set()
        self._stop = stop = Event()
        known = self._look.findings if self._look and not again and self._look.wanted.data == asked.data else ()
        # What was found before stays on the screen until the deeper look has more to say.
        self._tell(Look(asked, findings=known), stop)
        self._screen.run_worker(self._run(draft, shape, asked, stop), group="check", exclusive=True)

    def stop(self) -> None:
        """End the one that runs: its process is killed, and what it found so far stays."""
        if self._look is not None and self._look.running:
            self._tell(replace(self._look, state="stopped"), self._stop)
        self._stop.set()

    async def _run(self, draft: Recipe, shape: ModelShape | None, asked: Wanted, stop: Event) -> None:
        def progress(done: int, total: int | None, what: str) -> None:
            self._change(stop, done=done, total=total, counting=what == "counted")

        def found(rows: int, findings: tuple[Finding, ...]) -> None:
            if self._look is not None and len(findings) >= len(self._look.findings):
                self._change(stop, done=max(rows, self._look.done), findings=findings)

        outcome: CheckUp | Problem = await attempt_for(
            self._screen, lookups.check_up, draft, shape, asked, progress, found, stop
        )
        if isinstance(outcome, Problem):
            self._change(stop, state="failed", problem=outcome)
        else:
            self._change(stop, state="finished", findings=outcome.findings, done=outcome.profile.rows, total=None)

    def _change(self, stop: Event, **values: Any) -> None:
        if self._look is not None and not stop.is_set():
            self._tell(replace(self._look, **values), stop)

    def _tell(self, look: Look, stop: Event) -> None:
        if not stop.is_set():
            self._look = look
            self._screen.post_message(Looked(look))
