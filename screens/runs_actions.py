"""What one can do to the runs of the list: to the one under the cursor, or to those that are marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual import work
from textual.screen import Screen

from ftui.runs import control, notes, trash
from ftui.runs.facts import Facts
from ftui.runs.folder import Run
from ftui.units import gib, plain

from . import runs_words as words
from .background import Problem, attempt
from .dialogs import Ask, Confirm
from .runs_list import RunsList
from .widgets.run_table import RunTable

TAG_HINT = "A word adds a tag, -word takes it away."
NOTE_HINT = "Enter keeps it; an empty line takes it away."
FEW = "Mark two to eight runs with space; then c compares them."


class RunsActions(Screen[Any]):
    """The actions of the list as a mix-in: it provides `_list` and `_tick`."""

    _list: RunsList

    def _tick(self) -> None:
        """Look at the runs anew."""
        raise NotImplementedError

    @property
    def _table(self) -> RunTable:
        return self.query_one(RunTable)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("undo", "free"):
            return bool(self._list.asides)
        if action not in ("stop", "resume", "resume_in_turn", "delete", "note"):
            return super().check_action(action, parameters)
        if not self.is_mounted or (self._table.marked and action != "delete"):
            return False
        facts = self._table.current
        if self._table.marked or action == "note":
            return facts is not None
        if facts is None or facts.status is None:
            return False
        if action.startswith("resume"):
            return facts.status.over and facts.status.state != "finished"
        return facts.status.live if action == "stop" else not facts.status.live

    def _chosen(self) -> list[Facts]:
        """The marked runs in the order in which they were marked, else the one under the cursor."""
        known = {facts.run.id: facts for facts in self._list.runs}
        marked = [known[run_id] for run_id in self._table.marked if run_id in known]
        return marked or [facts for facts in (self._table.current,) if facts is not None]

    def action_stop(self) -> None:
        self._do(control.stop, "{} saves and stops at its next step.")

    def action_resume(self) -> None:
        self._do(control.resume, "{} goes on from its last checkpoint.")

    def action_resume_in_turn(self) -> None:
        self._do(
            lambda run: control.resume(run, queued=True),
            "{} goes on from its last checkpoint once its turn has come.",
        )

    @work(group="do")
    async def _do(self, function: Callable[[Run], object], said: str) -> None:
        """Do something to each of the chosen runs, and say that it was done, or why not."""
        chosen = self._chosen()
        for facts in chosen:
            if not await self._done(function, facts.run):
                return
        if chosen:
            self.notify(said.format(words.several([facts.run.info.name for facts in chosen])), timeout=4, markup=False)

    def action_compare(self) -> None:
        run_ids = [facts.run.id for facts in self._chosen()]
        if len(run_ids) < 2:
            self.notify(FEW, timeout=6)
            return
        from .compare import CompareScreen

        self.app.push_screen(CompareScreen(run_ids))

    @work
    async def action_delete(self) -> None:
        if not (chosen := self._chosen()):
            return
        runs = [facts.run for facts in chosen]
        size = await attempt(_size, runs)
        title, details = words.question(chosen, 0 if isinstance(size, Problem) else size)
        if await self.app.push_screen_wait(Confirm(title, details)) and await self._done(control.set_aside, runs):
            self._table.unmark()

    @work(exclusive=True, group="undo")
    async def action_undo(self) -> None:
        if not self._list.asides:
            return
        aside = self._list.asides[0]
        names = list(aside.named) or [run.id for run in aside.runs]
        if await self._done(trash.restore, aside):
            self.notify(f"{words.several(names)} {'is' if len(names) == 1 else 'are'} back.", timeout=4, markup=False)

    @work
    async def action_free(self) -> None:
        asides = self._list.asides
        size = gib(sum(aside.size for aside in asides))
        names = "\n".join(plain(", ".join(aside.named)) for aside in asides[:8])
        question = Confirm(f"Free {size} now?", f"{names}\nThen it can't be undone any more.")
        if await self.app.push_screen_wait(question) and await self._done(trash.free, asides):
            self.notify(f"{size} are being freed.", timeout=4)

    @work
    async def action_tag(self) -> None:
        if not (chosen := self._chosen()):
            return
        title = f"Tags of {words.several([facts.run.info.name for facts in chosen])}"
        tags = list(dict.fromkeys(tag for facts in chosen for tag in facts.notes.tags))
        now = f"Now: {' '.join(tags)}.  " if tags else ""
        said = (await self.app.push_screen_wait(Ask(title, hint=plain(f"{now}{TAG_HINT}"))) or "").split()
        for facts in chosen if said else ():
            if not await self._done(notes.tag, facts.run, said):
                return

    @work
    async def action_note(self) -> None:
        facts = self._table.current
        if facts is None:
            return
        title = f"Note to {plain(facts.run.info.name)}"
        said = await self.app.push_screen_wait(Ask(title, facts.notes.note.replace("\n", " "), NOTE_HINT))
        if said is not None and said != facts.notes.note.replace("\n", " "):
            await self._done(notes.note, facts.run, said)

    async def _done(self, function: Callable[..., object], *given: Any) -> bool:
        """Whether it could be done; where not, it is said why.  Either way the list is looked at anew."""
        outcome = await attempt(function, *given)
        self._list.forget(one.id for each in given for one in (each if isinstance(each, list) else [each])
                          if isinstance(one, Run))  # fmt: skip
        if isinstance(outcome, Problem):
            self.notify(outcome.hint, title=outcome.what, severity="error", timeout=8, markup=False)
        self._tick()
        return not isinstance(outcome, Problem)


def _size(runs: Sequence[Run]) -> int:
    """Bytes on the disk that these take."""
    return sum(trash.size(run.path) for run in runs)
