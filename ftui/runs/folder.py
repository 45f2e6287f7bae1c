"""The run folder: making one, finding one, and what its files are called."""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import socket
import sys
import time
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ftui.errors import BadInput, Refused
from ftui.files import make_folder, sync_folder, write_atomic
from ftui.paths import runs_dir
from ftui.redaction import hide
from ftui.runs.document import JobKind, RunInfo

if TYPE_CHECKING:
    from ftui.data.document import SourceVersion
    from ftui.planner.document import Plan
    from ftui.recipe.document import Recipe
    from ftui.runs.status import RunStatus

LIBRARIES = ("ftui", "torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate")


@dataclass(frozen=True)
class Run:
    """One run folder.  Everything about a run is read from its files, each time anew but for run.json."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name, such as 2026-11-22-support-qlora-7f3a."""
        return self.path.name

    @property
    def events(self) -> Path:
        """events.jsonl."""
        return self.path / "events.jsonl"

    @property
    def heartbeat(self) -> Path:
        """Rewritten every few seconds while a worker lives."""
        return self.path / "heartbeat"

    @property
    def inbox(self) -> Path:
        """Where commands to the worker are put."""
        return self.path / "inbox"

    @property
    def log(self) -> Path:
        """The worker's stdout and stderr, whole, of all attempts."""
        return self.path / "worker.log"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie, each complete or absent."""
        return self.path / "checkpoints"

    @property
    def output(self) -> Path:
        """Where the result lies, once there is one."""
        return self.path / "output"

    @property
    def report(self) -> Path:
        """report.md."""
        return self.path / "report.md"

    @cached_property
    def info(self) -> RunInfo:
        """run.json; raises BadInput where it can't be read."""
        path = self.path / "run.json"
        try:
            return RunInfo.from_json(path.read_bytes())
        except OSError as error:
            raise BadInput(f"{path} can't be read: {error.strerror}.", "It is what makes a folder a run.") from error
        except ValidationError as error:
            raise BadInput(
                f"{path} is no description of a run ({error.error_count()} errors, the first: "
                f"{error.errors()[0]['msg']}).",
                "Its checkpoints and output, if any, can still be used by hand.",
            ) from error

    @property
    def is_stage(self) -> bool:
        """Whether it is one of the runs that a run of kind "stages" leads."""
        return self.info.parent is not None and "stage" in self.info.args

    def stages(self) -> list[Run]:
        """The runs that this one leads, in their order."""
        mine = [run for run in list_runs() if run.info.parent == self.id and run.is_stage]
        return sorted(mine, key=lambda run: int(run.info.args["stage"]))

    @property
    def asked_text(self) -> str | None:
        """asked.yaml, verbatim; None for a job without a recipe."""
        return self._text("asked.yaml")

    def recipe(self) -> Recipe | None:
        """recipe.yaml, the whole; None for a job without a recipe."""
        path = self.path / "recipe.yaml"
        if not path.exists():
            return None
        from ftui.recipe import read

        return read(path)

    @property
    def data_file(self) -> Path:
        """data.json: which data it was, by hash, rows and revision; written when the rows are prepared."""
        return self.path / "data.json"

    def data_versions(self) -> list[SourceVersion]:
        """What data.json says; none before the rows are prepared, or where it can't be read."""
        from ftui.data.document import SourceVersion

        try:
            found = json.loads(self.data_file.read_bytes())
            return [SourceVersion.model_validate(version) for version in found]
        except (OSError, ValueError, TypeError):
            return []

    def plan(self) -> Plan | None:
        """What the planner expected; None for a job that was not planned."""
        from ftui.planner.document import Plan

        text = self._text("plan.json")
        return None if text is None else Plan.from_json(text)

    def status(self) -> RunStatus:
        """Derived from its files and processes at this moment."""
        from ftui.runs.status import status

        return status(self)

    def _text(self, name: str) -> str | None:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def create(
    kind: JobKind,
    name: str,
    *,
    command: str,
    recipe: Recipe | None = None,
    asked_text: str | None = None,
    plan: Plan | None = None,
    args: dict[str, Any] | None = None,
    preset: str | None = None,
    parent: str | None = None,
) -> Run:
    """Make the folder of a new run, complete before it takes its name; nothing is started.

    `command` is the command line that makes the run again.  Raises Refused where the folder can't be written.
    """
    documents = {"recipe.yaml": _yaml(recipe), "asked.yaml": asked_text, "plan.json": plan.to_json() if plan else None}
    new = runs_dir() / f".new-{secrets.token_hex(8)}"
    try:
        make_folder(new / "inbox")
        for file, text in documents.items():
            if text is not None:
                write_atomic(new / file, text)
        while True:
            run = Run(runs_dir() / _id(name))
            info = RunInfo(
                id=run.id, kind=kind, name=name, created=time.time(), parent=parent, host=socket.gethostname(),
                versions=versions(), command=hide(command), seed=recipe.train.seed if recipe else None, preset=preset,
                args=args or {},
            )
            write_atomic(new / "run.json", info.to_json())
            if not run.path.exists():
                # Renaming onto a folder that appeared meanwhile fails, for it isn't empty.
                os.rename(new, run.path)
                sync_folder(runs_dir())
                return run
    except OSError as error:
        raise Refused(
            f"The run folder can't be written in {runs_dir()}: {error.strerror}.",
            "Free some space there or point FTUI_HOME at a disk that can be written.",
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def list_runs() -> list[Run]:
    """Every run whose run.json can be read, newest first."""
    try:
        entries = [Run(Path(entry.path)) for entry in os.scandir(runs_dir()) if _is_run(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Refused(f"{runs_dir()} can't be read: {error.strerror}.", "Is FTUI_HOME what you meant?") from error
    return sorted((run for run in entries if _readable(run)), key=lambda run: (run.info.created, run.id), reverse=True)


def find(text: str) -> Run:
    """The run that `text` names: its id, the start or a part of it that only one has, its name, or "last".

    The last is the newest training: a question put to it, or a download, is a run of its own but not what one means.
    Raises BadInput where none or several fit, naming the nearest.
    """
    runs = list_runs()
    if not runs:
        raise BadInput("There are no runs yet.", "Start one with `ftui launch cpu-demo`, or open the wizard: ftui")
    if text == "last":
        return next((run for run in runs if run.info.kind in ("train", "stages") and not run.is_stage), runs[0])
    for fits in (
        lambda run: run.id == text,
        lambda run: run.info.name == text,
        lambda run: bool(text) and run.id.startswith(text),
        lambda run: bool(text) and text in run.id,
    ):
        found = [run for run in runs if fits(run)]
        if len(found) == 1:
            return found[0]
        if found:
            raise BadInput(
                f"{len(found)} runs fit {text!r}: {', '.join(run.id for run in found[:5])}{' …' * (len(found) > 5)}",
                "Give more of the id, or `last` for the newest run.",
            )
    near = difflib.get_close_matches(text, [run.id for run in runs] + [run.info.name for run in runs], n=1, cutoff=0.3)
    raise BadInput(
        f"There is no run {text!r}.", f"Did you mean {near[0]}?" if near else "`ftui runs` lists the runs there are."
    )


def versions() -> dict[str, str]:
    """The versions of Python and the libraries that shape a run, without importing them; read once per process."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _id(name: str) -> str:
    """Date, name reduced to what every filesystem and shell takes, four random hex digits."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:40].strip("-") or "run"
    return f"{time.strftime('%Y-%m-%d')}-{slug}-{secrets.token_hex(2)}"


def _yaml(recipe: Recipe | None) -> str | None:
    if recipe is None:
        return None
    from ftui.recipe import write

    return write(recipe)


def _is_run(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _readable(run: Run) -> bool:
    try:
        return bool(run.info)
    except BadInput:
        return False
