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
    SampleView .sample { height: auto; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._picture = Picture()
        self._step: int | None = None
        """The evaluation that was chosen; None follows the newest."""
        self._drawn: object = None
        self._shown: list[Static] = []
        """A text for each sample, so that keys can go from one to the next."""

    def compose(self) -> ComposeResult:
        yield Static(id="sample-title")
        yield VerticalScroll(can_focus=True)

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

    def go(self, by: int) -> None:
        """Scroll to the prompt after (1) or before (-1) the one at the top; to its own beginning, if that is above."""
        scroll = self.query_one(VerticalScroll)
        tops = [shown.virtual_region.y for shown in self._shown]
        here = scroll.scroll_offset.y
        beyond = [top for top in tops if (top > here if by > 0 else top < here)]
        if beyond:
            scroll.scroll_to(y=beyond[0] if by > 0 else beyond[-1], animate=False, immediate=True)

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
        title = self.query_one("#sample-title", Static)
        if step is None:
            title.update("")
            self._fill([NONE_AT_ALL if self._picture.end is not None else NONE_YET])
            return
        losses = self._picture.series.get("eval_loss")
        loss = dict(losses).get(step) if losses is not None else None
        title.update(Content.assemble(
            (f"step {step:,}", "bold"), f" · evaluation {steps.index(step) + 1} of {len(steps)}",
            f" · loss {short(loss)}" if loss is not None else "", ("   [ earlier   ] later   n next", "dim"),
        ))
        self._fill(answers(samples, self.size.width))

    def _fill(self, texts: Sequence[RenderableType]) -> None:
        """Show one text below the other; those that are there already stay where they are."""
        scroll = self.query_one(VerticalScroll)
        for shown in self._shown[len(texts) :]:
            shown.remove()
        del self._shown[len(texts) :]
        for shown, text in zip(self._shown, texts, strict=False):
            shown.update(text)
        fresh = [Static(text, classes="sample") for text in texts[len(self._shown) :]]
        self._shown += fresh
        scroll.mount(*fresh)


def answers(samples: Sequence[Sample], width: int) -> list[RenderableType]:
    """Each prompt with the base model's answer beside the tuned one's, or above it where there is little room."""
    drawn = _beside if width >= SIDE_BY_SIDE else _stacked
    places = [f"{at} of {len(samples)}" if len(samples) > 1 else "" for at in range(1, len(samples) + 1)]
    return [drawn(sample, place) for sample, place in zip(samples, places, strict=True)]


def _beside(sample: Sample, place: str) -> RenderableType:
    """The prompt, and below it the base model's answer beside the tuned one's."""
    table = Table.grid(padding=(0, 2), expand=True)
    # What has no spaces is broken anywhere: cut off, a part of the answer would be lost.
    table.add_column(ratio=1, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    table.add_row(Text("base model", "dim"), Text("tuned", "bold"))
    table.add_row(Text(_said(sample.base), "dim"), Text(_said(sample.text)))
    return Group(_prompt(sample, place), table, Text())


def _stacked(sample: Sample, place: str) -> RenderableType:
    """The two answers one below the other, where there is little room."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=5)
    table.add_column(ratio=1, overflow="fold")
    table.add_row(Text("base", "dim"), Text(_said(sample.base), "dim"))
    table.add_row(Text("tuned", "bold"), Text(_said(sample.text)))
    return Group(_prompt(sample, place), table, Text())


def _prompt(sample: Sample, place: str) -> Text:
    return Text.assemble(("▸ ", "bold"), (plain(sample.prompt), "bold"), (f"  {place}", "dim"))


def _said(answer: str | None) -> str:
    if answer is None:
        return "(not asked)"
    return plain(answer) if answer.strip() else "(no words)"
