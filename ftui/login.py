"""Logging in to the Hugging Face hub.  The token goes to huggingface_hub's own store and nowhere else."""

from __future__ import annotations

from ftui.errors import BadInput
from ftui.redaction import remember

TOKEN_PAGE = "https://huggingface.co/settings/tokens"


def log_in(token: str) -> str:
    """Log in with `token` and return the account's name; BadInput where the hub refuses it or can't be reached.

    No message holds the token.
    """
    from huggingface_hub import login

    token = token.strip()
    remember(token)
    if not token:
        raise BadInput("No token was given.", f"Make one with the right to read at {TOKEN_PAGE}.")
    if any(not character.isprintable() or character.isspace() for character in token) or not token.isascii():
        raise BadInput("That is no token: it holds spaces or control characters.", "Copy it again, whole.")
    name = _name(token)
    login(token=token, add_to_git_credential=False)
    return name


def who() -> str | None:
    """The account that this machine is logged in to, None if it is to none; BadInput where the hub can't be asked."""
    from huggingface_hub import get_token

    token = get_token()
    return _name(token) if token else None


def _name(token: str) -> str:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        raise BadInput("The hub is switched off by HF_HUB_OFFLINE.", "Unset it and log in again.")
    try:
        answer = HfApi().whoami(token=token)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise BadInput("The hub refuses this token.", f"Copy it again, whole, from {TOKEN_PAGE}.") from None
        raise BadInput(f"The hub answers with an error ({status}).", "Try again later.") from None
    except Exception as error:  # noqa: BLE001 - which HTTP library fails is huggingface_hub's own affair
        # Only the kind of error is said: its text may hold the address of a proxy with a password in it.
        raise BadInput(f"The hub can't be reached ({type(error).__name__}).", "Check the connection.") from None
    if not isinstance(answer, dict) or not answer.get("name"):
        raise BadInput("The hub's answer can't be understood.", "Is HF_ENDPOINT what it should be?")
    return str(answer["name"])
