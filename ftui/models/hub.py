"""Talking to the Hugging Face hub: where it is, whether it may be asked, and what its errors mean to a person.

The token is huggingface_hub's own business (`HF_TOKEN` or its login); it is never read into a document, and `scrub()`
takes it out of whatever third-party text is passed on.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Any

from ftui import redaction
from ftui.errors import BadInput, FtuiError, Refused

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PUBLIC = "https://huggingface.co"
TIMEOUT = 10.0
"""Seconds to wait for an answer before the cache or the catalogue speaks instead."""

ID = re.compile(r"^[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?(?:/[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?)?$")
TRUE = {"1", "ON", "YES", "TRUE"}


def endpoint() -> str:
    """Where the hub is: `$HF_ENDPOINT`, else huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/")


def offline() -> bool:
    """Whether the user has forbidden the network (`HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`)."""
    return any(os.environ.get(name, "").upper() in TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def require_online() -> None:
    """Refused where the network is forbidden."""
    if offline():
        raise Refused(
            "The hub may not be asked: HF_HUB_OFFLINE is set.", "Unset it, or give a model that is on this disk."
        )


def api() -> HfApi:
    """huggingface_hub's client for our endpoint; Refused where the network is forbidden."""
    require_online()
    from huggingface_hub import HfApi

    from ftui import __version__

    return HfApi(endpoint=endpoint(), library_name="ftui", library_version=__version__)


def logged_in() -> bool:
    """Whether huggingface_hub has a token to send."""
    from huggingface_hub import get_token

    return get_token() is not None


def page(ref: str) -> str:
    """The model's page, for a person."""
    return f"{endpoint()}/{ref}"


def check_id(ref: str) -> None:
    """BadInput unless `ref` can be a hub id; a token given by mistake is neither sent nor repeated."""
    if re.search(r"\b(hf|api)_[A-Za-z0-9]{16,}", ref):
        raise BadInput("That looks like a hub token, not like a model.", "To log in with it: ftui login")
    if ID.match(ref) and ".." not in ref and "--" not in ref and len(ref) <= 96:
        return
    hint = "A hub id looks like Qwen/Qwen3-0.6B; a folder is written with a slash in front, or ./ for one beside you."
    if " " in ref:
        hint = f"An id holds no spaces. To search for it: ftui models search {ref!r}"
    raise BadInput(f"{ref[:100]!r} is neither a hub id nor a path on this disk.", hint)


def scrub(text: str) -> str:
    """`text` without anything that could be a token."""
    return re.sub(r"\b(hf|api)_[A-Za-z0-9]{6,}", r"\1_…", redaction.hide(text))


def gated(ref: str) -> Refused:
    """What to do about a model whose licence must be accepted first."""
    if logged_in():
        return Refused(
            f"{ref} is gated, and the account you are logged in with has no access to it.",
            f"Accept its licence at {page(ref)} and wait until access is granted; then try again.",
        )
    return Refused(
        f"{ref} is gated: its licence must be accepted before it can be downloaded.",
        f"Accept it at {page(ref)}, then log in with: ftui login",
    )


def no_space(where: str | os.PathLike[str], needed: int, free: int) -> Refused:
    """What to do where the disk is too small; sizes in bytes."""
    from ftui.units import gib

    return Refused(
        f"The download needs {gib(needed)}, but the disk of {where} has {gib(free)} free.",
        "Make room there, or set HF_HOME to a folder on a larger disk (ftui probe shows the disks).",
    )


def explain(error: Exception, ref: str, revision: str | None = None) -> FtuiError:
    """`error`, from huggingface_hub or its transport, as one sentence and what to do; never with a token in it."""
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, FtuiError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return gated(ref)
    if isinstance(error, errors.RevisionNotFoundError):
        return BadInput(
            f"{ref} has no revision {revision!r} on the hub.", f"See {page(ref)}/commits/main, or leave it out."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return missing(ref)
    if isinstance(error, errors.DisabledRepoError):
        return Refused(f"{ref} has been disabled on the hub by its owner.", "Choose another model.")
    if isinstance(error, errors.HfHubHTTPError):
        return _by_status(error.response.status_code, ref, error)
    if isinstance(error, errors.HFValidationError):
        return BadInput(f"{ref[:100]!r} is no hub id.", "A hub id looks like Qwen/Qwen3-0.6B.")
    if isinstance(error, httpx2.TimeoutException):
        return Refused(
            f"The hub at {endpoint()} didn't answer in time.", "Try again; where a proxy is needed, set HTTPS_PROXY."
        )
    if isinstance(error, httpx2.TransportError | errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return Refused(
            f"The hub at {endpoint()} can't be reached.",
            "Check the network; where a proxy is needed, set HTTPS_PROXY. A model folder on this disk works offline.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused(
            "The disk is full.", "Make room, or set HF_HOME to a folder on a larger disk; what is there is kept."
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return Refused(
            f"The hub's cache can't be written: {error.filename or error}.",
            "Set HF_HOME to a folder that you may write to.",
        )
    return Refused(f"The hub gave an unexpected answer about {ref}: {scrub(_first_line(error))}.", "Try again later.")


def _by_status(status: int, ref: str, error: Any) -> FtuiError:
    if status in (401, 403):
        what = "The hub doesn't accept the stored login" if logged_in() else f"The hub asks for a login to see {ref}"
        return Refused(f"{what}.", "Log in anew with: ftui login")
    if status == 404:
        return missing(ref)
    if status == 429:
        return Refused("The hub asks for fewer requests just now.", "Wait some minutes, or log in: ftui login")
    if status >= 500:
        return Refused(f"The hub has a problem of its own (HTTP {status}).", "Try again in some minutes.")
    return Refused(f"The hub refused (HTTP {status}): {scrub(_first_line(error))}.", "Try again later.")


def missing(ref: str) -> BadInput:
    """There is no such model: the nearest names of the catalogue."""
    from ftui.models.known import nearest

    near = nearest(ref)
    similar = f"Did you mean {' or '.join(near)}? " if near else ""
    private = "" if logged_in() else " If it is private, log in with: ftui login"
    return BadInput(
        f"There is no model {ref} on the hub, or it is private.",
        f"{similar}To search: ftui models search {ref.rsplit('/', 1)[-1]}.{private}",
    )


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__
