"""`Stepper`: where one is in the wizard; a click goes to a step that is reachable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.app import RenderResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


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
        entries = []
        for key, title in self._steps.items():
            mark = "●" if key == self._current else "✓" if key in self._done else "○"
            style = "bold reverse" if key == self._current else "$text-success" if key in self._done else "$text-muted"
            entries.append(Content.from_markup(f"[@click=choose('{key}')][{style}] {mark} {title} [/]"))
        return Content("").join(entries) if self.size.width < 90 else Content(" ").join(entries)

    def action_choose(self, key: str) -> None:
        self.post_message(self.Chosen(key))
