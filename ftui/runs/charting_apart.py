"""A chart drawn in a child process, so that the app loads neither matplotlib nor numpy: `ftui runs chart` does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from ftui.errors import Refused
from ftui.runs.alignment import Axis

SECONDS = 300.0
"""Eight runs of a million steps take a minute to read."""


def chart_apart(
    run_ids: Sequence[str], folder: Path, *, curves: Sequence[str], axis: Axis, log: bool, weight: float
) -> tuple[Path, Path]:
    """Draw the curves of these runs into a new SVG and a new PNG in `folder`, and say which.

    Blocks; call it from a thread.  Raises Refused with the command's own words where it fails.
    """
    files = _free(folder, run_ids, curves[0].replace("/", "-"), axis)
    # -P: a file in the working folder that is named like a module must not be taken for it.
    words = [sys.executable, "-P", "-m", "ftui.cli.main", "runs", "chart", *run_ids, "--curves", ",".join(curves)]
    words += ["--by", axis, "--smooth", f"{weight:g}", "--json", *(["--log"] if log else [])]
    for file in files:
        words += ["--out", str(file)]
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise Refused("The chart took too long to draw.", "Draw it with: ftui runs chart") from error
    if done.returncode:
        raise _refusal(done.stdout, done.stderr)
    return files


def _free(folder: Path, run_ids: Sequence[str], curve: str, axis: Axis) -> tuple[Path, Path]:
    """Names that nothing has yet: of one run by its id, of several by how they are laid over each other."""
    stem = f"{run_ids[0]}-{curve}" if len(run_ids) == 1 else f"{curve}-of-{len(run_ids)}-runs-by-{axis}"
    for number in count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        svg, png = folder / f"{name}.svg", folder / f"{name}.png"
        if not svg.exists() and not png.exists():
            break
    return svg, png


def _refusal(out: str, err: str) -> Refused:
    try:
        told = json.loads(out)["error"]
        return Refused(str(told["what"]), told["hint"])
    except (ValueError, KeyError, TypeError):
        last = (err.strip() or "no word was left").splitlines()[-1]
        return Refused(f"The chart could not be drawn: {last}", "Draw it with: ftui runs chart")
