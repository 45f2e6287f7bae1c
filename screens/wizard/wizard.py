"""The wizard's screen: it holds the one state, looks things up in the background, and shows one step at a time."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.message import Message
from textual.reactive import var

from ftui import recipe
from ftui.errors import FtuiError
from ftui.planner.document import Trace
from ftui.units import plain

from .. import lookups
from ..background import OneAtATime, Problem, attempt_for
from ..memory import forget, recall, remember
from ..page import Page
from ..widgets.choice_table import ChoiceTable
from ..widgets.stepper import Stepper
from .checkup import Checks, Looked, wanted
from .replan import PLANNED, at_once, can_plan, counted, replan
from .state import ORDER, STEPS, StepName, WizardState
from .step import (
    Assigned,
    CheckAsked,
    CheckStopped,
    GoOn,
    Launched,
    LookAgain,
    OptionChosen,
    Redrawn,
    Reset,
    Step,
    TraceAsked,
)

STATE_FILE = "wizard.json"
DEMO = "cpu-demo"


@dataclass
class Reading(Message):
    """How far the reading of the data is, in rows."""

    names: str
    done: int
    total: int | None


class WizardScreen(Page[None]):
    """Hardware → Model → Data → Goal → Plan → Settings → Review; every change is saved and planned anew."""

    TITLE = "new run"
    CSS_PATH = "wizard.tcss"
    BINDINGS = [
        Binding("ctrl+n", "next", "Next", id="wizard.next", priority=True, tooltip="Go to the next step"),
        Binding("escape", "back", "Back", id="back", tooltip="Go to the step before; from the first one, home"),
        Binding("ctrl+l", "leave", "Leave", id="wizard.leave", show=False, tooltip="Go home; the draft is kept"),
    ]

    state: var[WizardState] = var(WizardState, always_update=True)
    """Always taken: a setting that was set to its default is equal to one that was left open, and yet an edit."""

    def __init__(self, *, demo: bool = False, preset: str | None = None, resume: bool = False) -> None:
        super().__init__()
        self.set_reactive(WizardScreen.state, self._opening(demo, preset, resume))
        self._step: Step | None = None
        """The step shown; None while one is taken away and the next one comes."""
        self._reading = Event()
        """Set to stop the reading of data that is no longer wanted."""
        self._checks = Checks(self)
        self._plans = OneAtATime()

    @staticmethod
    def _opening(demo: bool, preset: str | None, resume: bool) -> WizardState:
        if resume and (kept := recall(STATE_FILE)):
            return restored(kept)
        if demo:
            return from_preset(DEMO)
        if preset:
            state = from_preset(preset)
            draft = state.draft
            first = "model" if not draft.model.base else "data" if not draft.data.sources else "review"
            return state.having(step=first, furthest=ORDER.index(first))
        return WizardState()

    def compose_body(self) -> ComposeResult:
        yield Stepper({str(key): title for key, title in STEPS.items()})
        yield Container(id="step")

    def on_mount(self) -> None:
        self.call_after_refresh(self._start)

    async def _start(self) -> None:
        await self.go(self.state.step, checked=False)
        self._probe()
        self._describe()

    # What the steps send up.

    @on(Assigned)
    def _assigned(self, message: Assigned) -> None:
        try:
            state = self.state.assigned(message.values)
        except FtuiError as error:
            self._change(self.state.with_problem("edit", Problem(error.what, error.hint or "")))
            return
        self._edited(state.with_problem("edit", None))

    @on(Reset)
    def _reset(self, message: Reset) -> None:
        self._edited(self.state.reset(*message.paths).with_problem("edit", None))

    @on(OptionChosen)
    def _option_chosen(self, message: OptionChosen) -> None:
        self._edited(self.state.having(option=message.option))

    @on(LookAgain)
    def _look_again(self, message: LookAgain) -> None:
        {"hardware": self._probe, "model": self._describe, "data": self._profile}[message.subject]()

    @on(CheckAsked)
    def _check(self, message: CheckAsked) -> None:
        state, look = self.state, self.state.look
        same = look is not None and look.wanted.data == state.draft.data.sources
        before = look.wanted if look is not None and same else None
        against = before.against if before else ()
        if message.against is not None and message.against not in against:
            against = (*against, message.against)
        deep = message.deep or (before is not None and before.deep)
        asked = wanted(state.draft, state.shape, deep=deep, against=against)
        self._checks.ask(state.draft, state.shape, asked, again=message.again)

    @on(CheckStopped)
    def _stop_check(self) -> None:
        self._checks.stop()

    @on(Looked)
    def _looked(self, message: Looked) -> None:
        self._change(self.state.having(look=message.look))

    @on(TraceAsked)
    def _trace(self, message: TraceAsked) -> None:
        from ..trace import TraceScreen

        state = self.state
        if state.hardware is not None and state.shape is not None:
            asked = (message.recipe, state.shape, state.hardware, state.profile)
            self.app.push_screen(TraceScreen(*asked, command=message.command), self._traced)

    def _traced(self, trace: Trace | None) -> None:
        """What was traced is kept on disk, where the next plan finds it."""
        if trace is not None:
            self._plan()

    @on(GoOn)
    async def _go_on(self) -> None:
        await self.action_next()

    @on(ChoiceTable.Moved)
    @on(Redrawn)
    def _follow(self) -> None:
        if self._step is not None:
            self.say(next=self._step.next_line(), command=self._step.command())

    @on(Stepper.Chosen)
    async def _step_chosen(self, message: Stepper.Chosen) -> None:
        await self.go(message.step)  # type: ignore[arg-type]  # the stepper was given the steps' own keys

    def _edited(self, state: WizardState) -> None:
        """Take an edit: look up what it names anew, plan, and save."""
        old, self.state = self.state.draft, state.having(outdated=True)
        new = state.draft
        if new.model.base != old.model.base or new.model.revision != old.model.revision:
            self._describe()
        elif counted(new) != counted(old):
            self._profile()
        else:
            self.state = at_once(self.state)
        self._plan()
        self._change(self.state)
        self._save()

    def _change(self, state: WizardState) -> None:
        """Show `state`, wherever it came from."""
        self.state = state
        self.query_one(Stepper).say(state.step, state.done)
        if self._step is not None:
            self._step.show(state)
            self.say(next=self._step.next_line(), command=self._step.command())
        self.say(status=state.device)

    # What is looked up in the background.

    @work(exclusive=True, group="probe")
    async def _probe(self) -> None:
        self._change(self.state.waiting("hardware", "reading the GPUs, the memory and the disks"))
        found = await attempt_for(self, lookups.probe)
        self._learn("hardware", found, lambda state, hardware: state.having(hardware=hardware))
        self._plan()

    @work(exclusive=True, group="describe")
    async def _describe(self) -> None:
        model = self.state.draft.model
        self._change(self.state.having(shape=None))
        if not model.base:
            self._profile()
            return
        self._change(self.state.waiting("model", f"looking at {model.base}"))
        found = await attempt_for(self, lookups.describe, model.base, model.revision)
        self._learn("model", found, lambda state, shape: state.having(shape=shape))
        self._profile()

    @work(exclusive=True, group="profile")
    async def _profile(self) -> None:
        self._reading.set()
        self._reading = stop = Event()
        draft = self.state.draft
        self._change(self.state.having(profile=None, plan=None, layout=None).with_problem("data", None))
        if not draft.data.sources:
            return
        names = plain(", ".join(source.path for source in draft.data.sources))

        def progress(done: int, total: int | None) -> None:
            self.post_message(Reading(names, done, total))

        self._change(self.state.waiting("data", f"reading {names}"))
        found = await attempt_for(self, lookups.profile, draft, self.state.shape, progress, stop)
        self._learn("data", found, lambda state, profile: state.having(profile=profile))
        self._plan()

    @on(Reading)
    def _read_on(self, message: Reading) -> None:
        if "data" in self.state.busy:
            of = f" of {message.total:,}" if message.total else ""
            self._change(self.state.waiting("data", f"reading {message.names}: {message.done:,}{of} rows counted"))

    @work(exclusive=True, group="plan")
    async def _plan(self) -> None:
        if not can_plan(self.state):
            return
        asked = self.state
        found = await self._plans.attempt_for(self, replan, asked)
        if self.state.draft is not asked.draft or self.state.option != asked.option:
            return
        self._learn("plan", found, lambda state, new: state.having(**{name: getattr(new, name) for name in PLANNED}))

    def _learn(self, subject: str, found: Any, take: Callable[[WizardState, Any], WizardState]) -> None:
        if isinstance(found, Problem):
            self._change(self.state.with_problem(subject, found))
        else:
            self._change(take(self.state.with_problem(subject, None), found))

    # The way through.

    async def go(self, step: StepName, *, checked: bool = True) -> None:
        """Show `step`, unless it lacks something (`checked`), which is then said."""
        if checked and (lacking := self.state.lacks(step)):
            self.say(next=lacking)
            return
        self.state = self.state.having(step=step, furthest=max(self.state.furthest, ORDER.index(step)))
        module = importlib.import_module(f".{step}", __package__)
        holder = self.query_one("#step", Container)
        self._step = None
        await holder.remove_children()
        shown: Step = getattr(module, f"{step.capitalize()}Step")(self.state)
        await holder.mount(shown)
        self._step = shown
        self._change(self.state)
        self._save()

    async def action_next(self) -> None:
        at = ORDER.index(self.state.step)
        if at + 1 < len(ORDER):
            await self.go(ORDER[at + 1])

    async def action_back(self) -> None:  # type: ignore[override]  # Textual awaits an action where it can be
        at = ORDER.index(self.state.step)
        if at:
            await self.go(ORDER[at - 1])
        else:
            self.action_leave()

    def on_unmount(self) -> None:
        self._reading.set()
        self._checks.stop()

    def action_leave(self) -> None:
        self._reading.set()
        self._save()
        self.dismiss()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action == "next" and self.state.step == ORDER[-1])

    def term(self) -> str | None:
        return self._step.term() if self._step else None

    def action_explain(self) -> None:
        """A method is explained by its card, everything else by the glossary."""
        found = self._step.card() if self._step else None
        if found is None:
            super().action_explain()
            return
        from ftui.recipe.cards import card

        from ..method_card import MethodCard

        self.app.push_screen(MethodCard(card(*found)))

    @on(Launched)
    def _launched(self, message: Launched) -> None:
        """The draft has served, and the monitor takes the wizard's place."""
        from ..monitor import MonitorScreen

        forget(STATE_FILE)
        self.app.switch_screen(MonitorScreen(message.run))

    def _save(self) -> None:
        try:
            remember(STATE_FILE, self.state.kept())
        except OSError as error:
            self.notify(f"The draft can't be kept: {error.strerror}.", severity="warning")


def restored(kept: dict[str, Any]) -> WizardState:
    """The state that `kept` describes; a draft that this version can't read gives a fresh one."""
    try:
        start = from_preset(kept["preset"]) if kept.get("preset") else WizardState()
        return WizardState(
            step=kept["step"], furthest=kept["furthest"], preset=start.preset, option=kept.get("option"),
            draft=recipe.parse(kept["draft"], "the unfinished draft"), base=start.base,
        )
    except (KeyError, ValueError, FtuiError):
        return WizardState()


def from_preset(name: str) -> WizardState:
    """A fresh state on a preset's recipe."""
    start = recipe.preset(name).recipe
    return WizardState(preset=name, draft=start, base=start)
