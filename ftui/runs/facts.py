"""`Facts`: what a list of runs tells of each, cheaply: what can't change any more is read once and remembered.

The memory is one disposable file in ftui's cache folder: the base model and the method of each run's recipe, which
never changes, and the best evaluation up to the place in its events that was looked through.  No run's state is in it.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.files import write_atomic
from ftui.paths import cache_dir
from ftui.recipe.document import Recipe
from ftui.runs import notes
from ftui.runs.folder import Run
from ftui.runs.lines import parse_line
from ftui.runs.notes import Notes
from ftui.runs.status import RunStatus, status

FORMAT = 1


class Depth(IntEnum):
    """How far a run has been looked into: its run.json; also its events, process and notes; also its recipe."""

    LISTED = 0
    LOOKED = 1
    READ = 2


@dataclass(frozen=True)
class Facts:
    """What is known of one run; `status` and what follows is empty before it has been looked into."""

    run: Run
    depth: Depth = Depth.LISTED
    status: RunStatus | None = None
    notes: Notes = notes.NONE
    best: float | None = None
    """The best evaluation's value of what it was judged by: the loss, unless the objective has something better."""
    model: str | None = None
    """The base model as the recipe names it."""
    method: str | None = None
    """Objective and adapter, such as "sft qlora"; None for a job without a recipe."""

    @property
    def took(self) -> float | None:
        """Seconds from its making to its newest event."""
        end = self.status.updated if self.status else None
        return end - self.run.info.created if end is not None and end >= self.run.info.created else None

    def measured(self, name: str) -> float | None:
        """The newest value of a logged number."""
        value = self.status.metrics.get(name) if self.status else None
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass
class _Kept:
    """What is remembered of one run: facts, each beside the mark of the file that they were read from."""

    recipe: list[int] | None = None
    model: str | None = None
    method: str | None = None
    events: list[int] = field(default_factory=lambda: [0, 0])
    """Inode, and the number of bytes that were looked through."""
    best: float | None = None


class Memory:
    """Looks into runs, and remembers between calls and between processes."""

    def __init__(self) -> None:
        self._path = cache_dir() / "runs.json"
        self._kept = _load(self._path)
        self._new = 0

    def look(self, run: Run, depth: Depth, before: Facts | None = None) -> Facts:
        """The facts of `run` at this moment, as deep as `depth` or as they were known `before`."""
        depth = max(depth, before.depth if before else depth)
        kept = self._kept.setdefault(run.id, _Kept())
        if depth == Depth.READ:
            self._read_recipe(run, kept)
        now = status(run)
        self._look_through(run, kept)
        told = (kept.model, kept.method) if depth == Depth.READ else (None, None)
        return Facts(run, depth, now, notes.read(run), kept.best, *told)

    def save(self, known: Iterable[str], least: int = 1) -> None:
        """Write the memory for the next process, less runs that are gone, if at least `least` facts are new."""
        if self._new < least:
            return
        self._new = 0
        ids = set(known)
        self._kept = {run_id: kept for run_id, kept in self._kept.items() if run_id in ids}
        content = {"format": FORMAT, "runs": {run_id: vars(kept) for run_id, kept in self._kept.items()}}
        try:
            write_atomic(self._path, json.dumps(content))
        except OSError:
            # It only spares work: on a full or read-only disk the next process reads the files again.
            return

    def _read_recipe(self, run: Run, kept: _Kept) -> None:
        mark = _mark(run.path / "recipe.yaml")
        if mark == kept.recipe and mark is not None:
            return
        kept.recipe, kept.model, kept.method = mark, None, None
        if mark is None:
            return
        self._new += 1
        try:
            recipe = run.recipe()
        except BadInput:
            # Of another version, or damaged: the run is listed all the same.
            return
        if recipe is not None:
            kept.model, kept.method = recipe.model.base, method_of(recipe)

    def _look_through(self, run: Run, kept: _Kept) -> None:
        """Find the best evaluation: the newest that says so, in what has been written since the last look."""
        try:
            with open(run.events, "rb") as file:
                facts = os.fstat(file.fileno())
                if facts.st_ino != kept.events[0] or facts.st_size < kept.events[1]:
                    kept.events, kept.best = [facts.st_ino, 0], None
                if facts.st_size == kept.events[1]:
                    return
                with mmap.mmap(file.fileno(), facts.st_size, access=mmap.ACCESS_READ) as text:
                    found, end = _best(text, kept.events[1])
        except (OSError, ValueError):
            # Gone, or cut while it was looked at: the next look tells.
            return
        # A live run's file grows all the time, and what has been added is soon looked through.
        self._new += kept.events[1] == 0
        kept.events[1] = end
        kept.best = kept.best if found is None else found


def method_of(recipe: Recipe) -> str:
    """Objective and adapter in the field's words: "sft qlora", "dpo full", "stages"."""
    if recipe.stages:
        return "stages"
    kind: str = recipe.adapter.kind
    if kind == "lora" and recipe.model.quantization in ("nf4", "fp4"):
        kind = "qlora"
    return f"{recipe.objective.kind} {'full' if kind == 'none' else kind}"


def _best(text: mmap.mmap, begin: int) -> tuple[float | None, int]:
    """(the value of the newest best evaluation in the lines from `begin` on, the end of the last whole line).

    Lines are searched for the kind's name, not parsed: a million events take a fraction of a second.
    """
    end = text.rfind(b"\n") + 1
    at = end
    while (at := text.rfind(b'"evaluation"', begin, at)) >= 0:
        start = text.rfind(b"\n", 0, at) + 1
        event = parse_line(text[start : text.find(b"\n", at)])
        if event and event.kind == "evaluation" and event.data.get("best"):
            value = event.measured.get(f"eval_{event.data.get('judged_by', 'loss')}")
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return float(value), end
        at = start
    return None, end


def _mark(path: Path) -> list[int] | None:
    """What changes when the file does; None where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return [facts.st_mtime_ns, facts.st_size]


def _load(path: Path) -> dict[str, _Kept]:
    """What another process has remembered; nothing where it can't be read or is of another format."""
    try:
        content: Any = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            return {}
        return {str(run_id): _Kept(**kept) for run_id, kept in content["runs"].items() if _sound(kept)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _sound(kept: dict[str, Any]) -> bool:
    """Whether it holds what `_Kept` does, whoever wrote the file."""
    pair = kept["events"]
    return (
        isinstance(pair, list) and len(pair) == 2 and all(type(each) is int for each in pair)
        and isinstance(kept["best"], float | None)
        and all(isinstance(kept[name], str | None) for name in ("model", "method"))
    )
