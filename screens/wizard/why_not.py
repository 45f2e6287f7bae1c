"""Why not another value: what each would change in memory, time and quality, beside the one that is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from ftui.planner import WhyNot
from ftui.planner.document import Choice, Method
from ftui.planner.why import shown
from ftui.units import MiB, gib, plain, signed_gib

from ..background import Problem, attempt_for
from ..widgets.badge import ESTIMATE
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.static import Static
from .step import problem_text
from .weighed import FIT_STYLES, FIT_WORDS, ways_out

Taken = tuple[WhyNot, tuple[Choice, ...]]
"""A value to take, with the changes that make it fit where they were asked for."""


class WhyNotDialog(ModalScreen[Taken | None]):
    """A row for each value, its answer below; dismissed with what is to be taken, None for nothing."""

    CSS_PATH = "why_not.tcss"
    BINDINGS = [
        Binding("escape,w", "dismiss(None)", "Back"),
        *(Binding(str(number), f"with_change({number})", show=False) for number in (1, 2, 3)),
    ]

    def __init__(
        self, title: str, ask: Callable[[], Sequence[WhyNot]], *, at: str | None = None,
        names: Mapping[Method, str] | None = None,
    ) -> None:
        """`ask` is the engine's question; `names` are the titles of the plan's ways, `at` the one to start on."""
        super().__init__()
        self._title, self._ask, self._start, self._names = title, ask, at, names or {}
        self._answers: Sequence[WhyNot] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield ChoiceTable(
                Column("", 1), Column("Way" if self._names else "Value"), Column("Fits", 5),
                Column(f"{ESTIMATE} Memory", 9, right=True), Column("Change", 10, right=True),
                Column("Time", 6, right=True), Column("Quality", 7, right=True),
            )
            with VerticalScroll(can_focus=False):
                yield Static(id="answer")
            yield Static("Enter takes it, escape leaves all as it is.", classes="hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(ChoiceTable).focus()
        self._weigh()

    @work
    async def _weigh(self) -> None:
        answer = self.query_one("#answer", Static)
        answer.update(Content.assemble(("… ", "bold $text-accent"), "weighing"))
        found = await attempt_for(self, self._ask)
        if isinstance(found, Problem):
            answer.update(problem_text(found))
            return
        self._answers = found
        start = (n for n, one in enumerate(found) if (one.method == self._start if self._start else one.is_picked))
        self.query_one(ChoiceTable).show([self._row(n, one) for n, one in enumerate(found)], at=str(next(start, 0)))
        self._say()

    def _row(self, number: int, one: WhyNot) -> Row:
        name = self._names[one.method] if one.method else plain(shown(one.value))
        cells: list[str | Content] = ["●" if one.is_picked else "○", f"{name}{'' if one.trains else ' *'}"]
        if one.fit is None:
            return Row(str(number), (*cells, Content.styled("can't", "dim"), "–", "–", "–", "–"))
        cells += [Content.styled(FIT_WORDS[one.fit], FIT_STYLES[one.fit]), gib(one.process_bytes or 0)]
        if one.is_picked:
            return Row(str(number), (*cells, "", "", ""))
        more, better = one.more_bytes or 0, 100 * (one.better or 0.0)
        cells.append("same" if abs(more) < MiB else signed_gib(more))
        if one.method and one.fit == "no":
            # It was cut short to be tried, so that its time and quality say nothing.
            return Row(str(number), (*cells, "–", "–"))
        quality = "same" if abs(better) < 0.05 else f"{better:+.1f} %".replace("-", "−")
        return Row(str(number), (*cells, f"×{one.time_ratio or 1:.2f}", quality))

    @property
    def _at(self) -> WhyNot | None:
        key = self.query_one(ChoiceTable).key
        return self._answers[int(key)] if key and self._answers else None

    @on(ChoiceTable.Moved)
    def _say(self) -> None:
        if one := self._at:
            lines = [Content(plain(one.text))]
            if one.unknown:
                lines.append(Content.styled(f"What the rule doesn't know: {plain(one.unknown)}", "dim"))
            lines += ways_out(one.verdict) if one.verdict else []
            self.query_one("#answer", Static).update(Content("\n").join(lines))

    @on(ChoiceTable.Picked)
    def _picked(self) -> None:
        if (one := self._at) and one.fit is not None:
            self.dismiss(None if one.is_picked else (one, ()))

    def action_with_change(self, number: int) -> None:
        one = self._at
        if one and one.verdict and number <= len(one.verdict.ways_out):
            self.dismiss((one, one.verdict.ways_out[number - 1]))
