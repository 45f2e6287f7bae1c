"""`Step`: what the wizard's steps have in common, and the messages that they send up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from ftui.planner.document import Method
from ftui.recipe import Recipe
from ftui.recipe.cards import Section
from ftui.units import plain

from ..background import Problem
from .state import StepName, WizardState


@dataclass
class Assigned(Message):
    """Settings were edited: dotted path -> value, as text or as it is."""

    values: dict[str, Any]


@dataclass
class Reset(Message):
    """Settings are to go back to what they were."""

    paths: tuple[str, ...]


@dataclass
class OptionChosen(Message):
    """One of the plan's options was chosen, by its method; None for the recommendation."""

    option: Method | None


class Redrawn(Message):
    """The step says something else now: the lines below are to follow."""


@dataclass
class LookAgain(Message):
    """What was found out about "hardware", "model" or "data" is to be found out anew."""

    subject: str


@dataclass
class CheckAsked(Message):
    """The data is to be checked: as before, but deeply, or against this test file as well, or once more."""

    deep: bool = False
    against: str | None = None
    again: bool = False


class CheckStopped(Message):
    """The check-up is no longer wanted."""


@dataclass
class GoOn(Message):
    """The step is done: show the next one."""


@dataclass
class TraceAsked(Message):
    """A dry trace of this resolved recipe is wanted; `command` does the same."""

    recipe: Recipe
    command: str


@dataclass
class Launched(Message):
    """The run of this id was started."""

    run: str


class Step(Vertical):
    """One step's body.  It draws a `WizardState` in `show` and sends what its user does upward."""

    def __init__(self, state: WizardState) -> None:
        super().__init__()
        self.state = state

    def on_mount(self) -> None:
        self.show(self.state)
        self.set_focus()

    def show(self, state: WizardState) -> None:
        """Draw `state`; called at the start and after every change."""
        self.state = state

    def set_focus(self) -> None:
        """Put the focus where the step's work is."""

    def next_line(self) -> str:
        """What to do now, in one sentence."""
        return ""

    def command(self) -> str:
        """The command line that shows or does the same."""
        return ""

    def term(self) -> str | None:
        """The glossary's word for what the cursor stands on."""
        return None

    def card(self) -> tuple[Section, str] | None:
        """The method that the cursor stands on, whose card explains it."""
        return None


def problem_text(problem: Problem) -> Content:
    """A problem as a line or two: what, then what to do."""
    hint = Content.assemble("\n  ", Content(plain(problem.hint))) if problem.hint else Content("")
    return Content.assemble(("✗ ", "bold $text-error"), Content(plain(problem.what)).stylize("$text-error"), hint)


def said(state: WizardState, subject: str) -> Content | None:
    """What is to be said about `subject`: that it is being waited for, or its problem; None for nothing."""
    if subject in state.busy:
        return Content.assemble(("… ", "bold $text-accent"), Content(state.busy[subject]))
    return problem_text(state.problems[subject]) if subject in state.problems else None


__all__ = [
    "Assigned", "CheckAsked", "CheckStopped", "GoOn", "Launched", "LookAgain", "OptionChosen", "Redrawn", "Reset",
    "Step", "StepName", "TraceAsked", "problem_text", "said",
]
