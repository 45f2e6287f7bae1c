"""Whether a worker outlives the logout on this system, and what to start it under where it would not."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SYSTEMD = Path("/run/systemd/system")
FIRST_PROCESS = Path("/proc/1/comm")
SHELLS = frozenset({"bash", "sh", "dash", "ash", "zsh", "fish"})
SECONDS = 3.0


@dataclass(frozen=True)
class Survival:
    """`prefix` precedes the worker's command line; `warning` says what would end it all the same, `hint` the cure."""

    prefix: tuple[str, ...] = ()
    warning: str | None = None
    hint: str | None = None


def survival() -> Survival:
    """How a worker that is started now lives through the end of this login.

    logind with KillUserProcesses=yes kills what a session leaves behind unless it runs under the user's own manager,
    which in turn lives on only if the user "lingers" (logind.conf(5), loginctl(1)).
    """
    if (shell := _first_process()) in SHELLS:
        return Survival(
            warning=f"This container ends with its first process, the shell {shell}, and with it every run.",
            hint="Leave that shell open (detach with ctrl-p ctrl-q), or start the container with --init and a service.",
        )
    if not SYSTEMD.is_dir() or not os.environ.get("XDG_SESSION_ID") or os.geteuid() == 0:
        # Not a session of logind's; and root is excluded from the killing by logind's own default.
        return Survival()
    if _ask("loginctl", "show-session", "--property=KillUserProcesses", "--value") != "yes":
        return Survival()
    lingers = _ask("loginctl", "show-user", str(os.geteuid()), "--property=Linger", "--value") == "yes"
    scope = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")
    works = shutil.which("systemd-run") is not None and _ask(*scope, "true") is not None
    if works and lingers:
        return Survival(prefix=scope)
    return Survival(
        prefix=scope if works else (),
        warning="This system ends all of a user's processes at logout (logind's KillUserProcesses).",
        hint="So that runs live on: loginctl enable-linger" + ("" if works else ", or ask its administrator."),
    )


def _first_process() -> str | None:
    try:
        return FIRST_PROCESS.read_text().strip()
    except OSError:
        return None


def _ask(*command: str) -> str | None:
    """What a command prints, None where it fails, is missing or hangs."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
