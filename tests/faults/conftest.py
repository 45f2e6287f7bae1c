"""Real workers with the counting job, or with trainings of the embedded model, and everything they leave behind ended
after each test."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs import control, heartbeat
from ftui.runs.folder import Run, create, list_runs
from ftui.runs.follow import history
from ftui.runs.process import whereabouts
from ftui.runs.status import RunStatus, status

from .fault import Fault

COUNTING = Path(__file__).with_name("counting_worker.py")
WARM = Path(__file__).with_name("warm_worker.py")

RECIPE = Recipe.model_validate(
    {
        "name": "t",
        "model": {"base": "demo", "quantization": "none", "dtype": "float32", "attention": "sdpa"},
        "data": {"sources": [{"path": "demo", "limit": 100}], "max_length": 64, "packing": False, "validation": 6},
        "adapter": {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1},
        "train": {
            "max_steps": 12, "micro_batch": 2, "effective_batch": 4, "learning_rate": 2e-3, "optimizer": "adamw",
            "checkpointing": False, "eval_steps": 4, "save_steps": 3, "warmup": 0.1,
        },
        "evaluate": {"max_new_tokens": 2, "prompts": ["What is the opposite of hard?"]},
    }
)
FULL = Recipe.model_validate({"adapter": {"kind": "none"}}).adapter


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers are real processes with the counting job; none outlives its test."""
    monkeypatch.setattr(control, "WORKER", (sys.executable, str(COUNTING)))
    yield
    for run in list_runs():
        beat = heartbeat.read(run.heartbeat)
        if beat and whereabouts(beat.worker) == "alive":
            os.kill(beat.worker.pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def no_token_stays(planted: dict[str, str]) -> None:
    """Whatever breaks, no token is left in a file."""


@pytest.fixture
def started() -> Callable[..., Run]:
    """Make a run, start it, and return once it has counted to `until`."""

    def start(until: int = 3, **args: Any) -> Run:
        run = create("count", "count", args={"steps": 10_000, "seconds": 0.02, **args}, command="ftui launch count")
        control.start(run)
        reach(run, lambda now: (now.step or 0) >= until)
        return run

    return start


class Warm:
    """The process that forks workers which have their libraries already."""

    def __init__(self, folder: Path) -> None:
        # A hub that nobody can reach: its address is read once, when the library is.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
        self._process = subprocess.Popen(
            [sys.executable, str(WARM), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment,
        )
        self.models = folder / "models"
        assert self._answer() == "ready"

    def begin(self, run: Path, environment: dict[str, str], faults: Sequence[Fault]) -> int:
        """Start the worker of the run in this folder; its pid."""
        order = {
            "run": str(run), "log": str(run / "worker.log"), "environment": environment,
            "faults": [fault.as_dict() for fault in faults],
        }
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return int(self._answer())

    def end(self) -> None:
        """Let it go."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the warm worker has gone"
        return line.strip()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """One for all tests of this process."""
    process = Warm(tmp_path_factory.mktemp("warm"))
    yield process
    process.end()


@dataclass(frozen=True)
class Outcome:
    """All that a training has come to, to the bit; numbers by step, those of the newest attempt."""

    losses: dict[int, tuple[Any, ...]]
    """(loss, learning rate, gradient norm, tokens so far)."""
    evaluations: dict[int, Any]
    order: dict[int, list[str]]
    """By step the rows of its micro-batches, where they were written down."""
    weights: dict[str, str]
    """By file of the result its SHA-256."""
    end: tuple[Any, ...]


def outcome(run: Run) -> Outcome:
    """What `run`, which has ended, has come to."""
    losses, evaluations = {}, {}
    last = status(run)
    for event in history(run):
        data = event.data
        if event.kind == "metric":
            losses[event.step] = (data["loss"], data["learning_rate"], data["grad_norm"], data["tokens"])
        elif event.kind == "evaluation":
            evaluations[event.step] = (data["eval_loss"], data["best"])
    order: dict[int, list[str]] = {}
    previous = ("", 0)
    for line in (run.path / "order").read_text().splitlines() if (run.path / "order").exists() else []:
        pid, step, rows = line.split()
        # A step that another worker did again begins anew.
        order[int(step)] = [*order[int(step)], rows] if (pid, int(step)) == previous else [rows]
        previous = (pid, int(step))
    weights = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in run.output.glob("*.safetensors")
    }
    numbers = {name: value for name, value in last.metrics.items() if name in ("train_loss", "eval_loss", "tokens")}
    return Outcome(losses, evaluations, order, weights, (last.state, last.text, last.step, numbers))


class Trainings:
    """Trainings of the embedded model by workers that `control` starts, with faults in those that come next."""

    def __init__(self) -> None:
        self.faults: tuple[Fault, ...] = ()

    def make(self, **settings: Any) -> Run:
        """The folder of a run of the small recipe, with `section__setting=value` changed; `adapter=None` is full."""
        recipe = RECIPE
        if "adapter" in settings and settings.pop("adapter") is None:
            recipe = recipe.model_copy(update={"adapter": FULL})
        recipe = assign(recipe, {name.replace("__", "."): value for name, value in settings.items()})
        return create("train", "t", command="ftui launch t", recipe=recipe)

    def work(self, run: Run, *faults: Fault, seconds: float = 60) -> RunStatus:
        """Start or resume `run`, with these faults in its worker, and wait until it is over."""
        self.begin(run, *faults)
        return reach(run, lambda now: now.over, seconds)

    def finish(self, run: Run, *faults: Fault) -> Outcome:
        """As `work`, to its good end; what it has come to."""
        last = self.work(run, *faults)
        assert last.state == "finished", f"{last.text}; log: {run.log.read_text()[-2000:]}"
        return outcome(run)

    def begin(self, run: Run, *faults: Fault) -> None:
        """Start or resume `run`, as the commands do it, with these faults in its worker."""
        self.faults = faults
        try:
            (control.resume if run.events.exists() or run.heartbeat.exists() else control.start)(run)
        finally:
            self.faults = ()


@pytest.fixture
def trainings(warm: Warm, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    """Workers are real processes that train, forked from one that is warm."""
    shutil.copytree(warm.models, own_home / "models")
    found = Trainings()

    def forked(command: list[str], log: int, environment: dict[str, str], *, session: bool = True) -> int:
        return warm.begin(Path(command[-1]), environment, found.faults)

    monkeypatch.setattr(control, "_detached", forked)
    return found


def reach(run: Run, condition: Callable[[RunStatus], bool], seconds: float = 20.0) -> RunStatus:
    """Wait until the status fulfils `condition`; fails, with the last one, if it doesn't in time."""
    deadline = time.monotonic() + seconds
    while not condition(now := status(run)):
        assert time.monotonic() < deadline, f"still {now!r}; log: {run.log.read_text() if run.log.exists() else None}"
        time.sleep(0.02)
    return now


@pytest.fixture(name="reach")
def reach_fixture() -> Callable[..., RunStatus]:
    """`reach`, for tests."""
    return reach
