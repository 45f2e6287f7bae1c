"""The `trace` job: the memory of one training step of a recipe, from the training libraries themselves, without a GPU.

`args` of run.json: `key`, `config` (the model's config.json), `hardware`, `shape`, `rows`, `length`, `padded`, `full`,
`labels`; the resolved recipe is the run's own.  The result is output/trace.json, and is kept by its key for the next
who asks.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.models.own_code import needed
from ftui.planner.document import Trace
from ftui.planner.setup import setup_of
from ftui.recipe.document import Recipe
from ftui.units import gib
from ftui.worker import libraries
from ftui.worker.checkpoints import aside
from ftui.worker.context import JobContext
from ftui.worker.memory import peak_bytes
from ftui.worker.own_code import admit


def run(context: JobContext) -> None:
    """Trace the run's recipe and write output/trace.json."""
    from ftui import tracing

    args, recipe = context.info.args, context.recipe()
    context.emit("status", state="preparing", text="Loading the training libraries.")
    context.progress("Loading the training libraries", 0, None, unit="row")
    began = time.monotonic()
    libraries.load(recipe)
    if context.stop_asked:
        context.finish("Stopped before anything was traced.")
        return
    if needed(args["config"]):
        admit(recipe.model.base, recipe.model.revision, recipe.model.trust_code)
    context.emit("status", state="running", text="Tracing one training step.")
    found = trace(recipe, args, dict(context.info.versions), began)
    with aside(context.output) as making:
        (making / tracing.RESULT).write_text(found.to_json() + "\n", encoding="utf-8")
    tracing.keep(found)
    memory = found.memory
    context.finish(
        f"The step peaks at {gib(memory.allocated_bytes)} of tensors and {gib(memory.reserved_bytes)} reserved, in "
        f"{memory.phase}.",
        metrics={"allocated_bytes": memory.allocated_bytes, "reserved_bytes": memory.reserved_bytes,
                 "seconds": found.seconds, "cpu_seconds": round(time.process_time(), 1)},
        output=context.output,
    )


def trace(recipe: Recipe, args: dict[str, Any], versions: dict[str, str], began: float) -> Trace:
    """The trace that `args` asks for; `began` is when the job did, by the monotonic clock."""
    from ftui.worker.trace import trace_step
    from ftui.worker.trace.report import document

    shape = ModelShape.model_validate(args["shape"])
    length = int(args["length"])
    setup = replace(
        setup_of(recipe, Hardware.model_validate(args["hardware"]), shape, None), rows=int(args["rows"]),
        length=length, padded=bool(args["padded"]),
    )
    if setup.completion:
        setup = replace(setup, prompt=length - setup.completion)
    limit_threads()
    traced = trace_step(
        recipe, args["config"], device=setup.device, capability=setup.compute_capability, rows=setup.rows,
        length=setup.length, padded=setup.padded, full=bool(args["full"]), labels=int(args["labels"]),
    )
    return document(
        traced, setup, key=args["key"], model=shape.ref, versions=versions, seconds=time.monotonic() - began,
        rss=peak_bytes("cpu"),
    )


def limit_threads() -> None:
    """Nothing is computed, so more threads would only be in each other's way."""
    import torch

    torch.set_num_threads(1)
