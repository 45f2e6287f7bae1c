"""What every command prints alike: one JSON document, or plain lines; errors as one sentence and an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from ftui.errors import FtuiError
from ftui.units import plain

_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""C1 controls, bidirectional and invisible characters; JSON itself escapes only what is below a space."""


def print_json(document: Any) -> None:
    """Print one JSON document on stdout: documents, dataclass-free mappings and lists of them; NaN becomes null.

    Characters that stdout's encoding doesn't have, and those that steer a terminal or the order of letters, are escaped
    as JSON escapes them.
    """
    import json

    from pydantic_core import PydanticSerializationError, to_json

    try:
        text = to_json(document, indent=2, inf_nan_mode="null", fallback=str).decode()
    except PydanticSerializationError:
        # Names of files may hold bytes that are no text; Python's own encoder writes them as it got them.
        raw = json.loads(json.dumps(document, default=_as_dict), parse_constant=lambda _: None)
        text = json.dumps(raw, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2)
    print(_UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text))


def tell_translation(lines: Sequence[str]) -> None:
    """Say on stderr what each key of another tool's configuration became; nothing where there was none."""
    for line in lines:
        print(f"ftui: {plain(line)}", file=sys.stderr)


def _as_dict(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else str(value)


def steady_streams() -> None:
    """Make stdin, stdout and stderr ones that can be used, whatever shell or service started us.

    A closed one becomes /dev/null; a character that a terminal's encoding lacks is printed as its escape.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - it lives as long as we do
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def reporting(arguments: Sequence[str], debug: bool = False) -> Iterator[None]:
    """Turn what a command raises into one clear sentence on stderr (a JSON document with `--json`) and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        _fail(arguments, "Interrupted.", None, 130)
    except SystemExit as leave:
        # typer leaves with 1 when the reader of our pipe has gone.
        if isinstance(leave.__context__, BrokenPipeError):
            _leave_quietly()
        raise
    except BrokenPipeError:
        _leave_quietly()
    except Exception as error:  # noqa: BLE001
        # The last stop: whatever it is, a person gets a sentence instead of a traceback.
        _report(error, arguments, debug)


def _report(error: Exception, arguments: Sequence[str], debug: bool) -> None:
    import typer

    if isinstance(error, typer.Exit):
        sys.exit(error.exit_code)
    if isinstance(error, typer.Abort):
        _fail(arguments, "Interrupted.", None, 130)
    if debug:
        sys.excepthook = _show
        raise error
    if isinstance(error, FtuiError):
        _fail(arguments, error.what, error.hint, error.exit_code)
    # typer carries its own copy of click in newer versions: its usage errors are found by what they can do.
    said = getattr(error, "format_message", None)
    if callable(said):
        # Empty where a noun stands alone: its help was printed already.
        what = str(said()).strip() or "Which command?"
        _fail(arguments, what, "Run the command with --help to see what it takes.", 2)
    elif isinstance(error, OSError):
        _fail(arguments, *_of_the_system(error), 2)
    else:
        what = f"This is a defect in ftui: {type(error).__name__}: {error}"
        _fail(arguments, what, "The same command with --debug shows where; please report it.", 1)


def _show(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """Print a traceback as Python does, without what may be a token in the error's text."""
    import traceback

    from ftui.redaction import hide

    print(hide("".join(traceback.format_exception(kind, error, at))), end="", file=sys.stderr)


_REMEDIES = {
    errno.ENOSPC: "Free some space there, or point FTUI_HOME at a larger disk.",
    errno.EDQUOT: "Your share of that disk is used up: free some of it, or point FTUI_HOME at another disk.",
    errno.EACCES: "Check its permissions.",
    errno.EPERM: "Check its permissions.",
    errno.EROFS: "That disk takes no writing: name another place.",
    errno.ENAMETOOLONG: "Check the name.",
}


def _of_the_system(error: OSError) -> tuple[str, str]:
    """What the operating system refused, and what to do."""
    from ftui.paths import home

    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return f"{reason}.", _REMEDIES.get(error.errno or 0, "The same command with --debug shows where.")
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
    if name.startswith(str(home())):
        hint = f"What ftui keeps lies in {home()}: set FTUI_HOME to a folder on a disk that can be written."
    else:
        hint = _REMEDIES.get(error.errno or 0, "Check the path.")
    return f"{name} can't be used: {reason[0].lower()}{reason[1:]}.", hint


def _fail(arguments: Sequence[str], what: str, hint: str | None, code: int) -> None:
    from ftui.redaction import hide
    from ftui.units import plain

    what, hint = hide(what), hide(hint) if hint else None
    # A word without end is quoted from what was typed: its beginning says which.
    what, hint = re.sub(r"\S{400,}", lambda word: f"{word[0][:100]}...", plain(what)), plain(hint) if hint else None
    try:
        if "--json" in arguments:
            print_json({"error": {"what": what, "hint": hint}})
        print(f"ftui: {what}" + (f"\n      {hint}" if hint else ""), file=sys.stderr)
        sys.stdout.flush()
    except OSError:
        # Nobody can be told: the exit code has to say it.
        _silence()
    sys.exit(code)


def _leave_quietly() -> None:
    _silence()
    sys.exit(0)


def _silence() -> None:
    """Point stdout and stderr at nothing where they can't be written: Python would complain while flushing at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
