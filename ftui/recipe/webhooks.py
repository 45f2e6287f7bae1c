"""How a recipe says where messages about its run go: never by the address itself, which is mostly a secret.

Whoever has the URL of a chat's webhook writes there in one's name, and a recipe is copied, uploaded with its result and
printed.  So it names an environment variable or a closed file that holds the URL; only an address of this very machine
may stand in it.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

VARIABLE, FILE = "env:", "file:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMS = "write env:NAME for an environment variable, or file:PATH for a file of mode 600, that holds the URL"


def wrong_webhook(value: str) -> str | None:
    """Why `value` can't be `compute.webhook`, with what to write; never repeats it.  None where it can."""
    if value.startswith(VARIABLE):
        known = _NAME.fullmatch(value.removeprefix(VARIABLE))
        return None if known else f"env: is followed by no name of an environment variable; {_FORMS}"
    if value.startswith(FILE):
        return None if value.removeprefix(FILE).strip() else f"file: is followed by no path; {_FORMS}"
    if "://" not in value:
        return f"this names no place to send to; {_FORMS}"
    if (reason := wrong_url(value)) is not None:
        return f"{reason}; {_FORMS}"
    if not is_loopback(str(urlsplit(value).hostname)):
        return f"a URL is a secret here, and recipes are copied and printed; {_FORMS}"
    return None


def wrong_url(url: str) -> str | None:
    """Why nothing can be sent to `url`, as the beginning of a sentence that doesn't repeat it; None where it can."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in ("https", "http") or not host or re.search(r"[\x00-\x20\x7f]", url) or not url.isascii():
        return "it is no URL that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "it holds a user's name or password before the host, which is not sent"
    if parts.scheme == "http" and not is_loopback(host):
        return "http:// would send it readable for everyone on the way; only https:// is, or http:// on this machine"
    return None


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its loopback name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
