"""Weights & Biases, TensorBoard, MLflow and trackio: the curves go there, too; if they can't, the training goes on.

Each tracker is spoken to from a thread of its own, so that a server that hangs costs the training nothing: what it
doesn't take is left out, and said.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from ftui.recipe.document import Recipe
from ftui.recipe.trackers import TRACKERS, Tracker, installed
from ftui.worker.context import JobContext
from ftui.worker.leaving import before_leaving

MOST_WAITING = 1000
"""Values that wait for a tracker; what comes beyond is left out there."""
FINISH_SECONDS = 60.0
"""How long the end of the training waits for a tracker to take what is left, and to finish."""
LEAVE_SECONDS = 10.0
"""The same at the end of a process whose training did not come to its end."""
SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
LEAST_SECRET = 6
"""Letters: shorter values of such variables are switches, not secrets."""


class Guarded(TrainerCallback):
    """Another callback, called from its own thread; its failures end it, with a warning, and nothing else."""

    def __init__(
        self, inner: Any, name: str, context: JobContext, finish: Callable[..., object] | None = None,
    ) -> None:
        """`finish(exit_code=...)` is called at the end, where its own methods leave something to be done."""
        self._inner, self._name, self._context, self._finish = inner, name, context, finish
        self._calls: queue.Queue[tuple[str, tuple[Any, ...], dict[str, Any]] | None] = queue.Queue(MOST_WAITING)
        self._failure: str | None = None
        self._given_up = self._lagging = self._closed = False
        self._exit_code = 0
        # A daemon, for one that hangs must not keep the process.
        self._thread = threading.Thread(target=self._serve, name=f"tracker {name}", daemon=True)
        self._thread.start()
        before_leaving(self.close)

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._hand_on("on_train_begin", args, kwargs)

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        self._hand_on("on_log", args, kwargs)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self._hand_on("on_train_end", args, kwargs)
        self.close(True, FINISH_SECONDS)
        self._tell()
        if self._thread.is_alive() and not self._given_up:
            self._give_up(f"{self._name} has not finished within {FINISH_SECONDS:g} seconds.",
                          "Its newest values may be missing there; here they are complete.")

    def close(self, well: bool, seconds: float = LEAVE_SECONDS) -> bool:
        """Have it finish, unless that was asked for before; whether it has come to a good end, within so many seconds.

        Of one that has not, what it would still do by itself when the process ends (`atexit`, `__del__`) would wait for
        the same as before.
        """
        if not self._closed:
            self._closed, self._exit_code = True, 0 if well else 1
            until = time.monotonic() + seconds
            # Where the queue stays full it hangs in an earlier call, and the thread lives on.
            with contextlib.suppress(queue.Full):
                self._calls.put(None, timeout=seconds)
            self._thread.join(max(until - time.monotonic(), 0.0))
        return not self._thread.is_alive() and self._failure is None

    def _hand_on(self, event: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Put a call into its queue, with what changes while it waits as it is now."""
        self._tell()
        if self._given_up:
            return
        arguments, state, *rest = args
        if isinstance(kwargs.get("logs"), dict):
            kwargs = {**kwargs, "logs": dict(kwargs["logs"])}
        try:
            self._calls.put_nowait((event, (arguments, copy.copy(state), *rest), kwargs))
        except queue.Full:
            if not self._lagging:
                self._lagging = True
                self._context.warn(
                    f"{self._name} takes the values more slowly than they come: {MOST_WAITING:,} wait.",
                    "The training goes on; what is measured until it catches up is missing there.",
                )

    def _serve(self) -> None:
        """What its thread does: one call after the other until the end or the first failure."""
        try:
            while (call := self._calls.get()) is not None:
                event, args, kwargs = call
                getattr(self._inner, event)(*args, **kwargs)
            if self._finish is not None:
                self._finish(exit_code=self._exit_code)
        except BaseException as error:  # noqa: BLE001  (a tracker's server, login or exit must not cost the training)
            self._failure = _first_line(error)

    def _tell(self) -> None:
        """Say that it has failed: events are written from the training's own thread only."""
        if self._failure is not None and not self._given_up:
            self._give_up(f"{self._name} failed: {self._failure}", "The training goes on without it.")

    def _give_up(self, text: str, hint: str) -> None:
        self._given_up = True
        self._context.warn(text, hint)


def add_trackers(trainer: Any, recipe: Recipe, context: JobContext) -> None:
    """Add the trackers that the recipe asks for to a trainer."""
    for tracker in TRACKERS:
        if wanted := getattr(recipe.tracking, tracker.setting):
            _name_run(tracker, str(wanted), trainer, context)
            _add(tracker, trainer, context)


def _name_run(tracker: Tracker, project: str, trainer: Any, context: JobContext) -> None:
    """Say where the curves go, in the way that transformers' callback reads it."""
    trainer.args.run_name = context.info.id
    match tracker.setting:
        case "wandb":
            os.environ["WANDB_PROJECT"] = project
            os.environ.setdefault("WANDB_DIR", str(context.folder))
            os.environ.setdefault("WANDB_SILENT", "true")
        case "tensorboard":
            os.environ["TENSORBOARD_LOGGING_DIR"] = str(context.folder / "tensorboard")
        case "mlflow":
            os.environ["MLFLOW_EXPERIMENT_NAME"] = project
        case "trackio":
            trainer.args.project = project


def _add(tracker: Tracker, trainer: Any, context: JobContext) -> None:
    remedy = f"pip install {tracker.package}"
    if not installed(tracker):
        context.warn(f"{tracker.title} is not installed, so nothing is logged there.", remedy)
        return
    try:
        inner = getattr(importlib.import_module("transformers.integrations"), tracker.callback)()
        # transformers leaves this one to its own hook at the end of the process, which waits without a limit.
        finish = importlib.import_module("wandb").finish if tracker.setting == "wandb" else None
    except Exception as error:  # noqa: BLE001  (as above)
        context.warn(f"{tracker.title} can't be used: {_first_line(error)}", remedy)
        return
    trainer.add_callback(Guarded(inner, tracker.title, context, finish))


def _first_line(error: BaseException) -> str:
    """What a tracker's error says in a line, without the keys and passwords that it may quote."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and len(value) >= LEAST_SECRET:
            line = line.replace(value, f"[{name}]")
    return re.sub(r"//[^/@\s]+@", "//…@", line)[:300]
