"""`ftui runs restore`: bringing back what was deleted in an app that is still open or was cut off."""

from __future__ import annotations

import sys
import time
from typing import Any

import typer

from ftui.cli.output import print_json


def restore(
    run_id: str = typer.Argument(None, metavar="[RUN]", help="A deleted run: id, a part of it, name, or 'last'."),
    discard: bool = typer.Option(False, "--discard", help="Remove it for good instead; without RUN all left ones."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Don't ask."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Bring back a run that was deleted in the app; without RUN, list those that can be.

    The app removes its deletions for good when it is left. Where it was cut off they stay for seven days.
    """
    from ftui.runs import trash

    if discard:
        left = [trash.find_aside(run_id)] if run_id else [aside for aside in trash.asides() if aside.left]
        _discard(left, yes, as_json)
    elif run_id is None:
        _list(trash.asides(), as_json)
    else:
        back = trash.restore(trash.find_aside(run_id))
        if as_json:
            print_json([{"run": run.id, "status": run.status().state, "folder": str(run.path)} for run in back])
        else:
            for run in back:
                print(f"{run.id} is back.")


def _list(asides: list[Any], as_json: bool) -> None:
    from ftui.units import clock, gib

    if as_json:
        print_json([
            {"runs": [run.id for run in aside.runs], "deleted": aside.time, "bytes": aside.size,
             "until": aside.until if aside.left else None}
            for aside in asides
        ])
        return
    if not asides:
        print("No deleted run can be brought back.")
    for aside in asides:
        kept = f"kept until {time.strftime('%Y-%m-%d %H:%M', time.localtime(aside.until))}" if aside.left else (
            "removed for good when the app that deleted it is left"
        )
        ago = clock(max(time.time() - aside.time, 0))
        print(f"{', '.join(run.id for run in aside.runs)}\n  deleted {ago} ago, {gib(aside.size)}, {kept}")


def _discard(asides: list[Any], yes: bool, as_json: bool) -> None:
    from ftui.errors import Refused
    from ftui.runs import trash
    from ftui.units import gib

    ids, size = [run.id for aside in asides for run in aside.runs], sum(aside.size for aside in asides)
    ask = asides and not yes and not as_json and sys.stdin.isatty()
    if ask and not typer.confirm(f"Remove {', '.join(ids)} for good?"):
        raise Refused("Nothing was removed.")
    trash.discard(asides)
    trash.empty()
    if as_json:
        print_json({"runs": ids, "freed_bytes": size})
    else:
        print(f"Removed {', '.join(ids)} for good: {gib(size)} freed." if ids else "There is nothing to remove.")
