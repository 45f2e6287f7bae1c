"""Make the virtual environment and install ftui into it, with a bar: `python3 tools/install.py .venv [EXTRA]`.

Standard library only, since nothing is installed yet.  What pip says goes to VENV/install.log and is shown if it fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 16


def main() -> int:
    """Install and return the exit code: 0 done, 1 pip failed, 2 this Python is too old."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this script runs before anything checked
        print(f"ftui needs Python 3.11 or newer, this is {sys.version.split()[0]}; try: make PYTHON=python3.12 demo")
        return 2
    target = Path(sys.argv[1]).absolute()
    extra = f"[{sys.argv[2]}]" if len(sys.argv) > 2 else ""
    if not (target / "bin" / "python").exists():
        show(0.0, "making the virtual environment")
        venv.create(target, with_pip=True)
    log = target / "install.log"
    command = [
        str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off",
        "-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}{extra}",
    ]
    with log.open("w") as output:
        pip = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
        started = time.monotonic()
        while pip.poll() is None:
            share, text = progress(log.read_text(errors="replace"), target)
            show(share, f"{text} · {time.monotonic() - started:.0f} s")
            time.sleep(0.5)
    if pip.returncode:
        print(f"\nThe installation failed; pip's last words (all of them stand in {log}):")
        print("\n".join(log.read_text(errors="replace").splitlines()[-12:]))
        return 1
    show(1.0, f"installed in {time.monotonic() - started:.0f} s")
    print()
    return 0


def progress(log: str, target: Path) -> tuple[float, str]:
    """How far pip is, in 0..1, and what it does: three quarters for fetching packages, the rest for unpacking them."""
    expected = sum("==" in line for line in (ROOT / "constraints.txt").read_text().splitlines())
    fetched = re.findall(r"^(?:Collecting|Requirement already satisfied:) ([\w.-]+)", log, re.MULTILINE)
    if "Installing collected packages" in log:
        unpacked = len(list(target.glob("lib/python*/site-packages/*.dist-info")))
        return 0.75 + 0.25 * min(1.0, unpacked / expected), "unpacking (torch is the large one)"
    current = fetched[-1] if fetched else "the list of packages"
    size = re.findall(r"Downloading \S+ \(([\d.]+ [MG]B)\)", log.splitlines()[-1]) if log else []
    return 0.75 * min(1.0, len(set(fetched)) / expected), f"fetching {current}" + (f" ({size[0]})" if size else "")


def show(share: float, text: str) -> None:
    """Draw the bar over itself; where the output is no terminal, stay silent."""
    if sys.stdout.isatty():
        bar = "█" * round(WIDTH * share)
        print(f"\r  Installing ftui [{bar:·<{WIDTH}}] {share:4.0%}  {text:<34.34}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
