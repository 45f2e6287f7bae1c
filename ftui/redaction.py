"""Keeping tokens out of what is written and printed: values of this environment, and whatever is shaped like one.

A token comes in by the environment, by huggingface_hub's own file, or typed into the login; it goes to the service that
it is for.  What ftui writes (events, logs, run.json, drafts) and says (errors, tracebacks) passes through here, since
the texts of others, such as an exception with an address in it, may carry one.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

HIDDEN = "[hidden]"

NAMES = re.compile(
    r"(?:^|_)(?:TOKENS?|SECRETS?|PASSWORD|PASSWD|APIKEY|KEY|CREDENTIALS?|WEBHOOK|AUTH)(?:_URL)?$", re.IGNORECASE
)
"""What the variables are called that hold a secret."""
OFTEN_NO_SECRET = re.compile(r"(?:KEY|AUTH|CREDENTIALS?)(?:_URL)?$", re.IGNORECASE)
"""Of these the short values are names of things (a project's, a column's), which stand in paths."""
TOKENS = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bapi_org_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9_-]{20,}|\bgh[opsu]_[A-Za-z0-9]{30,}"
    r"|\bgithub_pat_\w{30,}|\bxox[abps]-[A-Za-z0-9-]{10,}|\bAKIA[A-Z0-9]{16}\b|hooks\.slack\.com/services/[\w/]{10,}"
    r"|/api/webhooks/\d+/[\w-]{10,}"
)
"""What looks like a token of a service that trainings meet, wherever it came from."""
CARRIED = (
    (re.compile(r"(\bBearer\s+|\b(?i:authorization)\W{1,4}\w+\s+)(?![$<{%])[^\s'\"\\]{6,}"), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^/\s:@'\"]*:)(?![$<{%])[^/\s@'\"]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)([?&](?:token|sig|signature|x-amz-[\w-]+|key-pair-id|policy|api_?key|access_token)=)[^&\s'\"]+"),
     rf"\1{HIDDEN}"),
)
"""What carries a secret: a header, a user's password in an address, a signed address."""
MARKS = (
    "hf_", "api_org_", "sk-", "gh", "github_pat_", "xox", "AKIA", "/services/", "/webhooks/", "Bearer ",
    "uthorization", "://", "?", "&",
)
"""Without one of these in it a text holds nothing of all that: most events are told by a look."""
LEAST = 8
"""Letters below which a value is no secret, and would be found in ordinary words."""

_told: set[str] = set()


def hide(text: str) -> str:
    """`text` without the secrets of this environment and without what is shaped like one."""
    text = hide_known(text)
    if not any(mark in text for mark in MARKS):
        return text
    text = TOKENS.sub(HIDDEN, text)
    for pattern, instead in CARRIED:
        text = pattern.sub(instead, text)
    return text


def hide_known(text: str) -> str:
    """`text` without the secrets of this environment; nothing else of it is changed."""
    known = _known()
    return known.sub(HIDDEN, text) if known is not None else text


def holds_token(text: str) -> bool:
    """Whether `text` holds a secret of this environment, or what is shaped like a token."""
    known = _known()
    return TOKENS.search(text) is not None or (known is not None and known.search(text) is not None)


def place_of_token(values: Any, path: str = "") -> str | None:
    """The dotted path of the first text among nested `values` that holds a token."""
    if isinstance(values, str):
        return path if holds_token(values) else None
    if isinstance(values, list | tuple):
        values = dict(enumerate(values))
    pairs = values.items() if isinstance(values, Mapping) else ()
    found = (place_of_token(value, f"{path}.{name}" if path else str(name)) for name, value in pairs)
    return next((place for place in found if place is not None), None)


def remember(secret: str) -> None:
    """Keep `secret`, which was typed just now, out of everything from now on."""
    _told.add(secret)
    _known.cache_clear()


class Shielded:
    """A stream of text, standard error for one, from whose writes secrets are left out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` without its secrets; returns its length."""
        self._stream.write(hide(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@functools.cache
def _known() -> re.Pattern[str] | None:
    """What matches any secret of this environment, found once: the longest first, for one may begin another."""
    secrets = {part for value in (*_told, *_in_environment(), *_of_the_hub()) for part in _spellings(value)}
    longest = sorted((re.escape(secret) for secret in secrets), key=lambda secret: (-len(secret), secret))
    return re.compile("|".join(longest)) if longest else None


def _spellings(value: str) -> Iterator[str]:
    """A secret as it may stand in a text: whole, escaped for an address, and of an address what follows the host."""
    value = value.strip()
    if len(value) < LEAST or (value.isalpha() and len(value) < 2 * LEAST) or value.startswith(("/", "~")):
        return
    yield value
    yield quote(value, safe="")
    if "://" in value:
        parts = urlsplit(value)
        behind = parts.path + (f"?{parts.query}" if parts.query else "")
        if len(behind) >= LEAST:
            yield behind


def _in_environment() -> Iterator[str]:
    return (
        value for name, value in os.environ.items()
        if NAMES.search(name) and (len(value) >= 2 * LEAST or not OFTEN_NO_SECRET.search(name))
    )


def _of_the_hub() -> Iterator[str]:
    """The tokens in huggingface_hub's own files, found as it finds them and without importing it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    for name in (os.environ.get("HF_TOKEN_PATH") or f"{home}/token", f"{home}/stored_tokens"):
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError, RuntimeError):
            # No login on this machine, or one that we can't read and so can't repeat.
            continue
        yield from (line.rpartition("=")[2].strip() for line in text.splitlines() if not line.startswith("["))
