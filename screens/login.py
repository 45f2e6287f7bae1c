"""Logging in to the Hugging Face hub: the token is masked, and goes to huggingface_hub's own store only."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ftui.errors import BadInput

from .background import Problem, attempt


class LoginDialog(ModalScreen[bool]):
    """Returns whether the login worked."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [Binding("escape", "dismiss(False)", "Cancel")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Log in to the Hugging Face hub", classes="title")
            yield Static("Make a token with the right to read at https://huggingface.co/settings/tokens")
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
        answer = await attempt(log_in, token)
        if isinstance(answer, Problem):
            self.query_one("#wrong", Static).update(f"{answer.what} {answer.hint}")
            return
        self.app.notify(f"Logged in as {answer}.")
        self.dismiss(True)


def log_in(token: str) -> str:
    """Log in with `token` and return the user's name; BadInput where the hub refuses it or can't be reached."""
    from huggingface_hub import HfApi, login
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        name = str(HfApi().whoami(token=token)["name"])
        login(token=token, add_to_git_credential=False)
    except OfflineModeIsEnabled:
        raise BadInput("The hub is switched off by HF_HUB_OFFLINE.", "Unset it and log in again.") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise BadInput("The hub refuses this token.", "Copy it again, whole, from the token page.") from None
        raise BadInput(f"The hub answers with an error ({status}).", "Try again later.") from None
    except (OSError, ValueError) as error:
        # The text of a connection error names the URL, never the token; httpx's own errors are OSErrors here.
        raise BadInput(f"The hub can't be reached ({type(error).__name__}).", "Check the connection.") from None
    return name
