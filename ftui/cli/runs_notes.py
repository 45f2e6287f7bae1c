"""`ftui runs tag` and `ftui runs note`: what people put to a run."""

from __future__ import annotations

from typing import Any

import typer

from ftui.cli.output import print_json

ID = typer.Argument(..., metavar="RUN", help="The run's id, a part of it, its name, or 'last'.")
JSON = typer.Option(False, "--json", help="Print one JSON document.")
TAKES_DASHES = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""For typer: a tag that is taken away begins with a dash, as an option does, and may hold an h."""


def tag(
    context: typer.Context,
    run_id: str = ID,
    words: list[str] = typer.Argument(None, metavar="TAG", help="TAG or +TAG adds it, -TAG takes it away."),
    as_json: bool = JSON,
) -> None:
    """Put tags to a run or take them away; without any, print those it has."""
    from ftui.runs import notes
    from ftui.runs.folder import find

    if run_id == "-h":
        # No id begins with a dash; behind one this is the tag "h" that is taken away.
        print(context.get_help())
        return
    run = find(run_id)
    _show(run, notes.tag(run, words) if words else notes.read(run), as_json)


def note(
    run_id: str = ID,
    text: str = typer.Argument(None, help="The note, in place of the one there is; '' takes it away."),
    as_json: bool = JSON,
) -> None:
    """Write a note to a run; without a text, print the one it has."""
    from ftui.runs import notes
    from ftui.runs.folder import find

    run = find(run_id)
    _show(run, notes.read(run) if text is None else notes.note(run, text), as_json)


def _show(run: Any, found: Any, as_json: bool) -> None:
    from ftui.units import plain

    if as_json:
        print_json({"run": run.id, "tags": list(found.tags), "note": found.note})
        return
    print(f"{run.id}: {plain(' '.join(found.tags)) or 'no tags'}")
    if found.note:
        print(plain(found.note))
