"""Logging in to the Hugging Face hub: the token is masked, and goes to huggingface_hub's own store only."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from ftui.login import TOKEN_PAGE, log_in

from .background import Problem, attempt_for
from .widgets.static import Static


class LoginDialog(ModalScreen[bool]):
    """Returns whether the login worked."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [Binding("escape", "dismiss(False)", "Cancel")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Log in to the Hugging Face hub", classes="title")
            yield Static(f"Make a token with the right to read at {TOKEN_PAGE}")
            yield Input(password=True, compact=True, placeholder="hf_…")
            yield Static("", id="wrong", markup=False)
            yield Static("Enter logs in. The token is kept by huggingface_hub, never by ftui.", classes="hint")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self._log_in(event.value.strip())

    @work(exclusive=True)
    async def _log_in(self, token: str) -> None:
        self.query_one("#wrong", Static).update("asking the hub …")
        answer = await attempt_for(self, log_in, token)
        if isinstance(answer, Problem):
            self.query_one("#wrong", Static).update(f"{answer.what} {answer.hint}")
            return
        self.app.notify(f"Logged in as {answer}.")
        self.dismiss(True)
