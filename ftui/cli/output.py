"""What every command prints alike: one JSON document, or plain lines; errors as one sentence and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ftui.errors import FtuiError


def print_json(document: Any) -> None:
    """Print one JSON document on stdout: documents, dataclass-free mappings and lists of them; NaN becomes null."""
    from pydantic_core import to_json

    print(to_json(document, indent=2, inf_nan_mode="null", fallback=str).decode())


@contextlib.contextmanager
def reporting(arguments: Sequence[str], debug: bool = False) -> Iterator[None]:
    """Turn what a command raises into one clear sentence on stderr (a JSON document with `--json`) and an exit code."""
    import typer

    # typer carries its own copy of click in newer versions: its usage errors are found by their name.
    usage_error = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
    try:
        yield
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except typer.Exit as leave:
        sys.exit(leave.exit_code)
    except BrokenPipeError:
        # The reader of our pipe has gone; Python would complain once more while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        # The last stop: whatever it is, a person gets a sentence instead of a traceback.
        if debug:
            raise
        if isinstance(error, FtuiError):
            _fail(arguments, error.what, error.hint, error.exit_code)
        elif isinstance(error, usage_error):
            _fail(arguments, error.format_message(), "Run the command with --help to see what it takes.", 2)
        elif isinstance(error, OSError):
            where = f" ({error.filename})" if error.filename else ""
            _fail(arguments, f"{error.strerror or error}{where}.", None, 2)
        else:
            what = f"This is a defect in ftui: {type(error).__name__}: {error}"
            _fail(arguments, what, "The same command with --debug shows where; please report it.", 1)


def _fail(arguments: Sequence[str], what: str, hint: str | None, code: int) -> None:
    if "--json" in arguments:
        print_json({"error": {"what": what, "hint": hint}})
    print(f"ftui: {what}" + (f"\n      {hint}" if hint else ""), file=sys.stderr)
    sys.exit(code)
