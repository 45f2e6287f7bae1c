"""The terminal's bell, when a run that somebody looks at ends or needs them; whether it rings is theirs to say.

It rings unless it was switched off: one byte that terminals without a bell leave out, and that tmux and screen hand on,
also from a window that is not in sight.  The escape sequences for desktop notifications (OSC 9, OSC 777) are not sent:
tmux swallows them, and what a terminal that doesn't know them does with the text is its own affair.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ftui.files import write_atomic
from ftui.paths import state_file

if TYPE_CHECKING:
    from ftui.runs.status import RunStatus

BELL = "\a"
FILE = "bell.json"


def wanted() -> bool:
    """Whether it is to ring; yes where nobody has said."""
    try:
        kept = json.loads(state_file(FILE).read_text())
    except (OSError, ValueError):
        return True
    return not (isinstance(kept, dict) and kept.get("rings") is False)


def switch(on: bool) -> None:
    """Let it ring from now on, or be silent; a full or read-only disk raises OSError."""
    write_atomic(state_file(FILE), json.dumps({"rings": on}))


def calls(before: RunStatus | None, now: RunStatus) -> bool:
    """Whether what has changed between two looks at a run is worth a bell: its end, or that it waits for somebody.

    The first look at a run never is: what it finds may be long past.
    """
    if before is None or not before.live:
        return False
    return now.over or (now.state == "paused" and before.state != "paused")
