"""The dry trace as the near side asks for it: is it known already, start it, read it.

A trace is a fact about a configuration, a model, a device and the versions of the training libraries, and is kept by
them.  It runs in a worker, so nothing of torch is imported here.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ftui.errors import Refused, RunFailed
from ftui.files import write_atomic
from ftui.paths import cache_dir
from ftui.planner.document import Trace
from ftui.planner.setup import Setup, setup_of

if TYPE_CHECKING:
    from ftui.data.document import DataProfile
    from ftui.hardware.document import Hardware
    from ftui.models.document import ModelShape
    from ftui.recipe.document import Recipe
    from ftui.runs.folder import Run

FORMAT = 1
"""Raise it when the trace itself counts differently: earlier results are then forgotten."""
RESULT = "trace.json"


def key(
    recipe: Recipe, shape: ModelShape, hardware: Hardware, profile: DataProfile | None = None, *, full: bool = False
) -> str:
    """Hash of everything that the trace of a resolved recipe depends on."""
    from ftui.models.lookup import config_of

    return _key(recipe, setup_of(recipe, hardware, shape, profile), config_of(recipe.model.base, recipe.model.revision),
                full)  # fmt: skip


def cached(
    recipe: Recipe, shape: ModelShape, hardware: Hardware, profile: DataProfile | None = None, *, full: bool = False
) -> Trace | None:
    """The trace where it was made before with these libraries."""
    return _read(path(key(recipe, shape, hardware, profile, full=full)))


def start(
    recipe: Recipe, shape: ModelShape, hardware: Hardware, profile: DataProfile | None = None, *, full: bool = False,
    command: str = "",
) -> Run:
    """Start the job that traces a resolved recipe, and return at once; one that does so already is taken.

    `profile` says how long the rows are; `full` traces every layer in place of a pattern of them.  Raises Refused for
    what a trace can't say.
    """
    from ftui.models.lookup import config_of
    from ftui.recipe import assign
    from ftui.runs.control import start as start_worker
    from ftui.runs.folder import create, list_runs
    from ftui.runs.on_end import SILENT

    setup = setup_of(recipe, hardware, shape, profile)
    refuse(recipe, setup)
    config = config_of(recipe.model.base, recipe.model.revision)
    wanted = _key(recipe, setup, config, full)
    if running := next((run for run in list_runs() if _traces(run, wanted)), None):
        return running
    args: dict[str, Any] = {
        "key": wanted, "config": config, "hardware": hardware.as_dict(),
        "shape": shape.as_dict(), "rows": setup.rows, "length": setup.length, "padded": setup.padded, "full": full,
        "labels": max(2, setup.scores),
    }
    # What is to be done when the training ends isn't to be done now.
    quiet = assign(recipe, {**SILENT, "compute.max_hours": None})
    run = create("trace", f"trace-{recipe.name}", command=command or "ftui plan --trace", recipe=quiet, args=args)
    start_worker(run)
    return run


def finished(run: Run) -> Trace:
    """The result of a trace's run; RunFailed with the run's own last words where there is none."""
    from ftui.runs.status import status

    found = _read(run.output / RESULT)
    if found is None:
        now = status(run)
        raise RunFailed(f"The trace has no result: {now.text}", now.hint or f"See its log: {run.log}")
    return found


def keep(found: Trace) -> None:
    """Remember a trace for the next who asks."""
    write_atomic(path(found.key), found.to_json())


def path(key: str) -> Path:
    """Where the trace of that key is kept."""
    return cache_dir() / "traces" / f"{key}.json"


def refuse(recipe: Recipe, setup: Setup) -> None:
    """Raise Refused where the traced step would not be the one that the recipe means."""
    if setup.activation_offload:
        raise Refused(
            "A trace can't follow activations to host memory.", "Trace it without: --set train.activation_offload=false"
        )
    if setup.devices > 1 and setup.strategy not in ("single", "ddp"):
        raise Refused(
            f"A trace is of one device, and {setup.strategy} shares the weights among {setup.devices}.",
            "The estimate knows what each holds; trace it with: --set compute.gpus=1",
        )
    if setup.rounded or setup.float8:
        raise Refused(
            "A trace follows neither weights that are rounded in every pass nor products in 8-bit floats.",
            "Trace it without: --set train.qat=none --set train.float8=false",
        )
    if setup.loss == "cut":
        raise Refused("A trace can't run Apple's loss kernels.", "Trace it with: --set train.loss=chunked")


def _traces(run: Run, key: str) -> bool:
    """Whether this run is a trace of that key, and still at it."""
    return run.info.kind == "trace" and run.info.args.get("key") == key and run.status().live


def _key(recipe: Recipe, setup: Setup, config: dict[str, Any], full: bool) -> str:
    from ftui.runs.folder import versions

    parts = [FORMAT, repr(setup), recipe.adapter.as_dict(), recipe.objective.as_dict(), recipe.data.padding,
             recipe.train.neftune, recipe.train.max_grad_norm, config, versions(), full]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _read(file: Path) -> Trace | None:
    try:
        return Trace.from_json(file.read_bytes())
    except (OSError, ValidationError):
        # Not made yet, or by another ftui: it is made again.
        return None
