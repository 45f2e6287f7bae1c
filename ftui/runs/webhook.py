"""A message to a webhook: the address that a recipe points at, and a POST with what to do about its failures.

The address is a secret.  It is read when it is needed, and neither it nor a part of it but the host's name is in an
error, an event or a log.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ftui import __version__
from ftui.errors import BadInput, Refused
from ftui.recipe.webhooks import FILE, VARIABLE, is_loopback, wrong_url, wrong_webhook
from ftui.redaction import remember

TIMEOUT_SECONDS = 10.0
"""For each of the connection, the handshake and the answer."""
WAITS = (2.0, 8.0)
"""Seconds before the second and the third try: a server that is started again is back by then."""
LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which another try may be taken."""
MOST_BYTES = 4096
"""Of a file that holds an address."""


def address(setting: str) -> str:
    """The URL that `compute.webhook` points at; BadInput, without the URL, where there is none to send to."""
    if (reason := wrong_webhook(setting)) is not None:
        raise BadInput(f"compute.webhook: {reason}.")
    if setting.startswith(VARIABLE):
        name = setting.removeprefix(VARIABLE)
        url, where = os.environ.get(name, "").strip(), f"The environment variable {name}"
        if not url:
            raise BadInput(f"compute.webhook names the environment variable {name}, which is not set here.",
                           f"Set it where the run is started: export {name}=https://...")
    elif setting.startswith(FILE):
        path = Path(setting.removeprefix(FILE).strip()).expanduser()
        url, where = _in_file(path), str(path)
    else:
        return setting
    if url:
        remember(url)
    if (reason := wrong_url(url)) is not None:
        raise BadInput(f"{where} holds no address for compute.webhook: {reason}.", "Put the whole URL into it.")
    return url


def _in_file(path: Path) -> str:
    """The first line of a file that nobody else may read."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise BadInput(f"{path} is no regular file.", "compute.webhook: file:PATH names one with the URL.")
            if mode & 0o077:
                raise BadInput(f"{path} holds the webhook's address, and others may read it.", f"chmod 600 {path}")
            content = file.read(MOST_BYTES)
    except OSError as error:
        raise BadInput(f"compute.webhook names the file {path}, which can't be read: {error.strerror}.",
                       "Write the URL into it, and: chmod 600") from error
    return content.decode("utf-8", "replace").strip().partition("\n")[0].strip()


def host(url: str) -> str:
    """The part of an address that may be said."""
    return str(urlsplit(url).hostname)


def send(
    url: str, message: Mapping[str, Any], *, waits: Sequence[float] = WAITS, timeout: float = TIMEOUT_SECONDS
) -> None:
    """POST `message` as JSON; after a failure that may pass, again after each of `waits` seconds.

    Raises Refused with one sentence where it was not taken.  A redirect is not followed: it could lead the message, and
    what is in the address, to another host.
    """
    for wait in (*waits, None):
        try:
            _post(url, json.dumps(message).encode(), timeout)
            return
        except urllib.error.HTTPError as error:
            error.close()
            reason, passing = _answer(error.code), error.code in LATER
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            # urllib wraps what the socket said; what the others say may repeat the address, and is left out.
            cause = getattr(error, "reason", error)
            reason, passing = _unreached(cause, timeout), not isinstance(cause, ssl.SSLCertVerificationError)
        if wait is None or not passing:
            raise Refused(f"The webhook at {host(url)} {reason}.", "Try it: ftui runs notify")
        time.sleep(wait)


class _Here(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect what it is: an answer that is no success."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, body: bytes, timeout: float) -> None:
    request = urllib.request.Request(
        url, data=body, method="POST",
        headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": f"ftui/{__version__}"},
    )
    # A proxy is for the world outside: what is said to this machine stays on it.
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(host(url)) else []
    with urllib.request.build_opener(_Here, *handlers).open(request, timeout=timeout):
        # The status was a success; what a service answers besides is its own affair.
        pass


def _answer(code: int) -> str:
    if 300 <= code < 400:
        return f"answered with a redirect ({code}), which is not followed"
    known = {401: "it wants a login", 403: "it is forbidden", 404: "there is no such webhook any more",
             410: "that webhook was removed", 413: "the message is too long", 429: "too many messages"}
    return f"answered {code}: {known.get(code, http.client.responses.get(code, 'no success').lower())}"


def _unreached(cause: object, timeout: float) -> str:
    if isinstance(cause, TimeoutError):
        return f"did not answer within {timeout:g} seconds"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"has a certificate that can't be trusted: {cause.verify_message}"
    if isinstance(cause, OSError) and cause.strerror:
        return f"could not be reached: {cause.strerror}"
    return f"could not be reached ({type(cause).__name__})"
