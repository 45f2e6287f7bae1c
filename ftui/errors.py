"""The one family of errors that ftui raises on purpose; every other exception is a defect."""

from __future__ import annotations


class FtuiError(Exception):
    """Something that a person can act upon: `what` says what and where, `hint` what to do.

    The command line prints both as one sentence each and leaves with `exit_code`; a screen shows them in place.
    """

    exit_code = 2

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} {self.hint}" if self.hint else self.what


class BadInput(FtuiError):
    """What was given can't be used: a file, a key, a value."""


class Refused(FtuiError):
    """What was asked is well-formed but can't or shouldn't be done now: no space, already running, not finished."""


class RunFailed(FtuiError):
    """A run that was waited for did not end well."""

    exit_code = 1
