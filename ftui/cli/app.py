"""Opening the Textual app, which needs a real terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftui.data.rating import Rating


def open_app(
    run: str | None = None, demo: bool = False, rating: Rating | None = None, compare: Sequence[str] = ()
) -> int:
    """Open the app (on the monitor of `run`, the demo's wizard, a `rating`, or the runs to `compare`, where asked) and
    return its exit code.

    Without a terminal, or on a dumb one, a plain message names the commands to use instead.  Where a call beside the
    app hangs (a driver, a network home), the process ends here.  What was deleted in the app is final once it is left;
    where it broke down, that can still be brought back.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        print(
            "ftui: this is no terminal that the wizard can draw on.\n"
            "      Each step is also a command: ftui probe, ftui plan, ftui launch, ftui runs, ftui watch --plain.\n"
            "      ftui --help lists them.",
            file=sys.stderr,
        )
        return 2
    from ftui.screens.app import FtuiApp

    app = FtuiApp(open_run=run, demo=demo, rating=rating, compare=compare)
    app.run()
    code = app.return_code or 0
    if code == 0:
        _make_final()
    if not app.settled():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _make_final() -> None:
    """Remove for good what was deleted in the app, in a process apart, and say so."""
    if "ftui.runs.trash" not in sys.modules:
        # Nothing was deleted here: who only looked in leaves without waiting for an import.
        return
    from ftui.runs import trash

    try:
        gone = trash.leave()
    except OSError as error:
        print(f"ftui: what was deleted stays for now: {error.strerror} ({error.filename}).", file=sys.stderr)
        return
    if gone:
        from ftui.units import gib, plain

        runs = sum(len(aside.named) for aside in gone)
        named = plain(gone[0].named[0]) if runs == 1 else f"{runs} runs"
        print(f"Removed {named} for good: {gib(sum(aside.size for aside in gone))} freed.")
