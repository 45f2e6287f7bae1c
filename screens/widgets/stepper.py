"""`Stepper`: where one is in the wizard; a click goes to a step that is reachable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.app import RenderResult
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.style import Style
from textual.widget import Widget

FULL_WIDTH = 70
"""Cells that all the titles take."""


class Stepper(Widget):
    """One line of step names; `✓` before those that are done, `●` before the one shown."""

    @dataclass
    class Chosen(Message):
        """A step was clicked."""

        step: str

    def __init__(self, steps: Mapping[str, str]) -> None:
        """`steps` maps each step's key to its title, in order."""
        super().__init__()
        self._steps = steps
        self._current, self._done = next(iter(steps)), frozenset[str]()

    def say(self, current: str, done: frozenset[str]) -> None:
        """Show `current` as the step one is at, and the keys in `done` as complete."""
        self._current, self._done = current, done
        self.refresh()

    def render(self) -> RenderResult:
        if self.size.width < FULL_WIDTH:
            keys = list(self._steps)
            title = f" ● {self._steps[self._current]} "
            return Content.assemble((title, "bold reverse"), f" step {keys.index(self._current) + 1} of {len(keys)}")
        entries = []
        for key, title in self._steps.items():
            mark = "●" if key == self._current else "✓" if key in self._done else "○"
            style = "bold reverse" if key == self._current else "$text-success" if key in self._done else "dim"
            entry = Content.styled(f" {mark} {title} ", style)
            entries.append(entry.stylize(Style.from_meta({"step": key})))
        return Content("").join(entries) if self.size.width < 90 else Content(" ").join(entries)

    def on_click(self, event: Click) -> None:
        if step := event.style.meta.get("step"):
            self.post_message(self.Chosen(step))
