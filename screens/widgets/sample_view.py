"""`SampleView`: what the model answers, evaluation by evaluation, next to what it answered before tuning."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content

from ftui.units import plain

from ..monitor_axes import short
from ..monitor_picture import Picture, Sample
from .static import Static

SIDE_BY_SIDE = 90
"""From this width on the two answers stand beside each other."""


NONE_YET = (
    "No samples yet. The prompts are answered at each evaluation, where the model writes words; `e` evaluates now."
)
NONE_AT_ALL = (
    "This run answered no prompts: a model that gives scores writes no words, and without evaluations none are asked."
)


class SampleView(Vertical):
    """One evaluation's samples; it stays with the newest one until another is chosen."""

    DEFAULT_CSS = """
    SampleView { height: 1fr; }
    SampleView #sample-title { height: 1; padding: 0 1; }
    SampleView VerticalScroll { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    SampleView #sample-text { height: auto; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._picture = Picture()
        self._step: int | None = None
        """The evaluation that was chosen; None follows the newest."""
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        yield Static(id="sample-title")
        with VerticalScroll(can_focus=True):
            yield Static(id="sample-text")

    def show(self, picture: Picture) -> None:
        """Draw the chosen evaluation of this picture."""
        self._picture = picture
        self._draw()

    def turn(self, by: int) -> None:
        """Go `by` evaluations on; at the newest one it follows the run again."""
        steps = sorted(self._picture.samples)
        if not steps:
            return
        place = steps.index(self._step) if self._step in steps else len(steps) - 1
        place = min(max(place + by, 0), len(steps) - 1)
        self._step = None if place == len(steps) - 1 else steps[place]
        self._draw()

    def on_resize(self) -> None:
        self._drawn = None
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        steps = sorted(self._picture.samples)
        step = self._step if self._step in steps else steps[-1] if steps else None
        samples = [sample for _, sample in sorted(self._picture.samples[step].items())] if step is not None else []
        state = (step, len(steps), samples, self._picture.end is None)
        if state == self._drawn:
            return
        self._drawn = state
        title, text = self.query_one("#sample-title", Static), self.query_one("#sample-text", Static)
        if step is None:
            title.update("")
            over = self._picture.end is not None
            text.update(NONE_AT_ALL if over else NONE_YET)
            return
        losses = self._picture.series.get("eval_loss")
        loss = dict(losses).get(step) if losses is not None else None
        title.update(Content.assemble(
            (f"step {step:,}", "bold"), f" · evaluation {steps.index(step) + 1} of {len(steps)}",
            f" · loss {short(loss)}" if loss is not None else "", ("   [ earlier   ] later", "dim"),
        ))
        text.update(answers(samples, self.size.width))


def answers(samples: Sequence[Sample], width: int) -> RenderableType:
    """Each prompt with the base model's answer beside the tuned one's, or above it where there is little room."""
    shown = _beside if width >= SIDE_BY_SIDE else _stacked
    return Group(*(shown(sample) for sample in samples))


def _beside(sample: Sample) -> RenderableType:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    table.add_row(Text("base model", "dim"), Text("tuned", "bold"))
    table.add_row(Text(plain(sample.base or "(not asked)"), "dim"), Text(plain(sample.text)))
    return Group(_prompt(sample), table, Text())


def _stacked(sample: Sample) -> RenderableType:
    base = Text.assemble(("base   ", "dim"), (plain(sample.base or "(not asked)"), "dim"))
    return Group(_prompt(sample), base, Text.assemble(("tuned  ", "bold"), plain(sample.text)), Text())


def _prompt(sample: Sample) -> Text:
    return Text.assemble(("▸ ", "bold"), (plain(sample.prompt), "bold"))
