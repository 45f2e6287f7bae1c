"""`ReportScreen`: a run's report.md, in the app."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from ftui.runs.folder import Run
from ftui.units import plain

from .background import Problem, attempt
from .page import Page


class ReportScreen(Page[None]):
    """What was done and how to use the result; links are shown, never opened."""

    TITLE = "report"
    DEFAULT_CSS = """
    ReportScreen VerticalScroll { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    ReportScreen Markdown { background: transparent; padding: 0; margin: 0; }
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield Markdown("", open_links=False)

    async def on_mount(self) -> None:
        self.say(status=self._run.id, next=f"It lies in {self._run.report}", command=f"cat {self._run.report}")
        self.query_one(VerticalScroll).focus()
        text = await attempt(self._run.report.read_text, encoding="utf-8", errors="replace")
        if isinstance(text, Problem):
            text = f"The report can't be read: {text.what}"
        await self.query_one(Markdown).update(plain(text))
