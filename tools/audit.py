"""Hold the tested set of packages against the known vulnerabilities: `python tools/audit.py`, a part of `make check`.

It asks by pip-audit about the exact versions in constraints.txt, and installs nothing.  Where the list of
vulnerabilities can't be reached it says so in one line and is content: no network is no finding.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
LIMIT_SECONDS = 90.0
"""For all of it; 90 packages take some ten seconds."""
SOCKET_SECONDS = 5
UNREACHED = "audit: the known vulnerabilities can't be asked about from here; the packages were not checked."


def main(limit: float = LIMIT_SECONDS) -> int:
    """Ask, say what was found, and return the exit code: 1 for a known vulnerability, else 0."""
    code, lines = judge(None if os.environ.get("PIP_NO_INDEX") else ask(limit))
    for line in lines:
        print(line)
    return code


def ask(limit: float) -> str | None:
    """What pip-audit says, as JSON; None where it didn't get to an answer within `limit` seconds."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip",
        "--progress-spinner", "off", "--format", "json", "--timeout", str(SOCKET_SECONDS),
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=limit).stdout
    except subprocess.TimeoutExpired:
        return None


def judge(answer: str | None) -> tuple[int, list[str]]:
    """(exit code, lines to print) for what pip-audit has said."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer or "")["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, [UNREACHED]
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        # A mirror that has no such list answers as if it knew no package.
        return 0, [UNREACHED]
    lines = []
    for package in known:
        for found in package["vulns"]:
            names = ", ".join([found["id"], *found.get("aliases", ())])
            fixed = " or ".join(found.get("fix_versions", ()))
            remedy = f"fixed in {fixed}: raise it in constraints.txt" if fixed else "not fixed: see whether it is met"
            said = (found.get("description") or "").strip().splitlines()
            lines.append(f"audit: {package['name']} {package['version']}: {names}; {remedy}.")
            lines += [f"  {line[:200]}" for line in said[:1]]
    if lines:
        return 1, lines
    if unknown := len(packages) - len(known):
        return 0, [f"audit: {unknown} of {len(packages)} packages are not in the list and were not checked."]
    return 0, []


if __name__ == "__main__":
    sys.exit(main())
