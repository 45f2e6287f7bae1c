"""`Weighed`: a step that shows what a recipe costs, with the keys that prove it, ask about it and make it fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from textual.binding import Binding
from textual.content import Content

from ftui.planner.document import Choice, Verdict

from .step import Step

FIT_STYLES = {"fits": "$text-success", "tight": "$text-warning", "no": "$text-error"}
FIT_WORDS = {"fits": "fits", "tight": "tight", "no": "no"}


def _taking(number: int) -> Binding:
    about = "Take this change, which would make it fit; where several are needed, all of them"
    return Binding(str(number), f"change({number})", f"Take change {number}", show=False, tooltip=about)


class Weighed(Step):
    """The Plan step weighs the way under the cursor, the Settings step the recipe as it is set."""

    BINDINGS = [
        Binding("w", "why_not", "Why not", tooltip="What the other values would change, and why they are not the pick"),
        Binding("t", "trace", "Trace", tooltip="Run one step without a GPU: the peak to the percent"),
        *map(_taking, (1, 2, 3)),
    ]

    @abstractmethod
    def verdict(self) -> Verdict | None:
        """What is shown of whether it fits."""

    @abstractmethod
    def take(self, changes: Sequence[Choice]) -> None:
        """Make these changes."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "change":
            return parameters[0] in range(1, len(self._ways_out) + 1)
        return super().check_action(action, parameters)

    def action_change(self, number: int) -> None:
        self.take(self._ways_out[number - 1])

    @property
    def _ways_out(self) -> tuple[tuple[Choice, ...], ...]:
        verdict = self.verdict()
        return verdict.ways_out if verdict else ()


def ways_out(verdict: Verdict) -> list[Content]:
    """What would make it fit, numbered by the keys that take it: all together, or any one; empty where nothing is."""
    if not verdict.changes:
        return []
    if verdict.together:
        lead = Content.assemble(("1", "bold $text-accent"), " takes these together, which would make it fit:")
        return [lead, *(_change("+", change) for change in verdict.changes)]
    several = len(verdict.changes) > 1
    lead = Content("Any one of these would make it fit; its key takes it:" if several else "This would make it fit:")
    return [lead, *(_change(str(number), change) for number, change in enumerate(verdict.changes, 1))]


def _change(mark: str, change: Choice) -> Content:
    setting = Content.styled(f"{change.path}={change.text}", "bold")
    return Content.assemble((mark, "bold $text-accent"), " ", setting, "  ", Content(change.reason))
