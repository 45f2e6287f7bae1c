"""Runs that were put aside and can be brought back: `$FTUI_HOME/runs/.trash/`, on the runs' own filesystem.

Each deletion is one folder there, which holds the run folders whole and `deleted.json`: who deleted what, and when.
The app removes its own for good when it is left (`leave`); what an app that was cut off has left can be brought back
for `KEPT_DAYS` days, and goes with the next look after that (`sweep`).  Removing is done by a process apart: it may
take minutes.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.errors import BadInput, Refused
from ftui.files import sync_folder, write_atomic
from ftui.paths import home, runs_dir
from ftui.runs.folder import Run
from ftui.runs.process import Identity, identify, whereabouts

KEPT_DAYS = 7
LAST_TIME = 1e11
"""Later is no time that a calendar shows."""
GONE = ".gone-"
"""How the names of those begin that only wait to be removed: nothing of them is brought back."""

_put_here: list[Path] = []
"""What this process has put aside: who has nothing there leaves without touching a disk that may hang."""


@dataclass(frozen=True)
class Aside:
    """One deletion that can be undone."""

    folder: Path
    time: float
    owner: Identity | None
    """The process that brings it back or removes it; None where that can't be read."""
    named: tuple[str, ...]
    """The names of the runs that were meant; the stages that they lead go with them."""
    size: int
    """Bytes on the disk that removing it frees."""

    @property
    def runs(self) -> list[Run]:
        """The runs that lie there now."""
        try:
            return [Run(path) for path in sorted(self.folder.iterdir()) if (path / "run.json").exists()]
        except OSError:
            return []

    @property
    def mine(self) -> bool:
        """Whether this very process put it aside."""
        return self.owner is not None and self.owner == identify()

    @property
    def left(self) -> bool:
        """Whether the app that would remove it is gone."""
        return self.owner is None or whereabouts(self.owner) == "dead"

    @property
    def until(self) -> float:
        """When it goes, where it was left (seconds since the epoch)."""
        return self.time + KEPT_DAYS * 86400


def folder() -> Path:
    """Where they lie."""
    return runs_dir() / ".trash"


def put_aside(runs: Sequence[Run], named: Sequence[Run]) -> Aside:
    """Move these runs out of the list, each by one rename; all or none, as far as the disk lets us.

    Raises OSError where one can't be moved; nobody may be working on them.
    """
    place = folder() / f"{time.time_ns()}-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700, parents=True)
    me = identify()
    aside = Aside(place, time.time(), me, tuple(run.info.name for run in named), sum(size(run.path) for run in runs))
    moved: list[Run] = []
    try:
        _describe(aside)
        for run in runs:
            os.rename(run.path, place / run.id)
            moved.append(run)
    except OSError:
        for run in reversed(moved):
            os.rename(place / run.id, run.path)
        shutil.rmtree(place, ignore_errors=True)
        raise
    _put_here.append(place)
    sync_folder(place)
    sync_folder(runs_dir())
    return aside


def asides() -> list[Aside]:
    """All that can be brought back, the last deleted first."""
    try:
        entries = [Path(entry.path) for entry in os.scandir(folder()) if not entry.name.startswith(".")]
    except OSError:
        return []
    found = [_read(entry) for entry in entries if entry.is_dir()]
    return sorted((aside for aside in found if aside.runs), key=lambda aside: aside.time, reverse=True)


def undoable() -> list[Aside]:
    """What this process may bring back without asking: its own, and what an app that was cut off has left."""
    return [aside for aside in asides() if aside.mine or aside.left]


def find_aside(text: str) -> Aside:
    """The deletion that holds the run that `text` names: by its id, its name or a part of the id; "last" is the newest.

    Raises BadInput where none or several fit.
    """
    known = asides()
    if not known:
        raise BadInput("No deleted run can be brought back.", "What `ftui runs delete` removes is gone for good.")
    if text == "last":
        return known[0]
    for fits in (lambda run: text in (run.id, run.info.name), lambda run: bool(text) and text in run.id):
        found = [aside for aside in known if any(fits(run) for run in aside.runs if _told(run))]
        if len(found) == 1:
            return found[0]
        if found:
            ids = [run.id for aside in found for run in aside.runs if _told(run) and fits(run)]
            raise BadInput(f"{len(ids)} deleted runs fit {text!r}: {', '.join(ids[:5])}.", "Give more of the id.")
    raise BadInput(f"No deleted run is called {text!r}.", "`ftui runs restore` lists those that can be brought back.")


def restore(aside: Aside) -> list[Run]:
    """Bring back what a deletion has put aside, and return it; the stages of a run before the run.

    Raises Refused where it is gone, or its place is taken.
    """
    back: list[Run] = []
    # Whoever sees the leading run shall find its stages.
    for run in sorted(aside.runs, key=lambda run: not (_told(run) and run.is_stage)):
        target = Run(runs_dir() / run.id)
        try:
            if target.path.exists():
                raise Refused(f"There is a run {run.id} already.", f"Rename its folder: {target.path}")
            os.rename(run.path, target.path)
        except OSError as error:
            raise Refused(f"{run.id} can't be brought back: {error.strerror}.", f"It was in {aside.folder}") from error
        back.append(target)
    if not back:
        raise Refused("That deletion can't be undone any more.", "It was removed for good, or brought back elsewhere.")
    sync_folder(runs_dir())
    shutil.rmtree(aside.folder, ignore_errors=True)
    _tidy()
    return back


def discard(doomed: Iterable[Aside]) -> None:
    """Take away that these can be brought back; `empty` then frees their space."""
    for aside in doomed:
        try:
            os.rename(aside.folder, folder() / f"{GONE}{aside.folder.name}")
        except FileNotFoundError:
            # Brought back or discarded by another process just now.
            continue


def sweep() -> None:
    """Free what was left longer than `KEPT_DAYS` ago, and what an interrupted removal has left; in a process apart."""
    now = time.time()
    free(aside for aside in asides() if now > aside.until and not aside.mine and _over(aside))


def leave() -> list[Aside]:
    """What leaving the app means: its deletions are final.  Returns them; their space is freed by a process apart."""
    mine = [aside for aside in asides() if aside.mine] if _put_here else []
    if mine:
        free(mine)
    return mine


def free(doomed: Iterable[Aside]) -> None:
    """Remove these for good, in a process apart."""
    discard(doomed)
    _empty_apart()


def empty() -> None:
    """Remove what waits to be removed; raises OSError for what can't be, after all else."""
    failed: list[OSError] = []

    def note(_: Any, __: str, problem: Any) -> None:
        # Another process may be removing the same.
        if not isinstance(problem[1], FileNotFoundError):
            failed.append(problem[1])

    for path in _gone():
        shutil.rmtree(path, onerror=note)
    _tidy()
    if failed:
        raise failed[0]


def size(path: Path) -> int:
    """Bytes on the disk that `path` takes with all below it; a file with several names counts once."""
    total, seen = 0, set()
    waiting = [str(path)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            if (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                total += facts.st_blocks * 512
    return total


def _gone() -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder()) if entry.name.startswith(GONE)]
    except OSError:
        return []


def _over(aside: Aside) -> bool:
    """Whether nobody will bring it back: another machine's app that is a week old counts as gone."""
    return aside.owner is None or whereabouts(aside.owner) != "alive"


def _empty_apart() -> None:
    """As `empty`, in a process of its own that nobody waits for."""
    if not _gone():
        return
    try:
        subprocess.Popen(
            [sys.executable, "-c", "from ftui.runs import trash; trash.empty()"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
            env={**os.environ, "FTUI_HOME": str(home())},
        )
    except OSError:
        # No process to be had now: the next start finds it.
        return


def _tidy() -> None:
    """Take the folder away where it holds nothing."""
    try:
        folder().rmdir()
    except OSError:
        return


def _describe(aside: Aside) -> None:
    content = {
        "v": 1, "time": aside.time, "owner": aside.owner.as_dict() if aside.owner else None,
        "named": list(aside.named), "size": aside.size,
    }
    write_atomic(aside.folder / "deleted.json", json.dumps(content))


def _read(place: Path) -> Aside:
    """What deleted.json says; where that is gone or garbled the folder's own time, and nobody's."""
    try:
        content: Any = json.loads((place / "deleted.json").read_bytes())
        when = float(content["time"])
        if not 0 <= when < LAST_TIME:
            raise ValueError
        return Aside(
            place, when, Identity.from_dict(content["owner"]), tuple(str(name) for name in content["named"]),
            int(content["size"]),
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        try:
            made = place.stat().st_mtime
        except OSError:
            made = 0.0
        return Aside(place, made, None, (), size(place))


def _told(run: Run) -> bool:
    try:
        return bool(run.info)
    except BadInput:
        return False
