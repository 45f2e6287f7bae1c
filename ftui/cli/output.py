"""What every command prints alike: one JSON document, or plain lines; errors as one sentence and an exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ftui.documents import Document
from ftui.errors import FtuiError


def print_json(document: Document | dict[str, Any] | list[Any]) -> None:
    """Print one JSON document on stdout; non-finite floats become null."""
    if isinstance(document, Document):
        print(document.to_json())
    else:
        print(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    return value.as_dict() if isinstance(value, Document) else str(value)


@contextlib.contextmanager
def reporting(arguments: Sequence[str]) -> Iterator[None]:
    """Turn what a command raises into one clear sentence on stderr (a JSON document with `--json`) and an exit code."""
    import click

    debug = "--debug" in arguments or bool(os.environ.get("FTUI_DEBUG"))
    try:
        yield
        sys.stdout.flush()
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.exit(130)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.ClickException as error:
        _fail(arguments, error.format_message(), "Run the command with --help to see what it takes.", 2)
    except FtuiError as error:
        if debug:
            raise
        _fail(arguments, error.what, error.hint, error.exit_code)
    except BrokenPipeError:
        # The reader of our pipe has gone; Python would complain once more while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        where = f" ({error.filename})" if error.filename else ""
        _fail(arguments, f"{error.strerror or error}{where}.", None, 2)


def _fail(arguments: Sequence[str], what: str, hint: str | None, code: int) -> None:
    if "--json" in arguments:
        print_json({"error": {"what": what, "hint": hint}})
    print(f"ftui: {what}" + (f"\n      {hint}" if hint else ""), file=sys.stderr)
    sys.exit(code)
