"""What screens ask of the app."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class NewRun(Message):
    """Open the wizard: fresh, on the demo, on a preset's recipe, or where it was left."""

    demo: bool = False
    preset: str | None = None
    resume: bool = False


@dataclass
class WatchRun(Message):
    """Open the monitor of the run with this id."""

    run: str


class RateAnswers(Message):
    """Ask for a file of answers, and rate them."""
