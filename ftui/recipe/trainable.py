"""What a recipe can state for a plan, or for a published measurement, and ftui's worker does not do."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.combinations import wrong_combinations
from ftui.recipe.document import Recipe

Only = tuple[str, str]
"""What can only be planned, and what to write to have it trained."""

PACKAGES = {"galore": "pytorch-optimizer", "schedule_free": "schedulefree"}
"""What optimizers need that ftui does not install by itself."""


def planned_only(recipe: Recipe) -> Only | None:
    """The first thing in `recipe` that no run of ftui's would do as it says; None for a recipe that can be trained.

    A run that did something else than its recipe would be worse than none, so this is refused even with --force.
    """
    return next(_planned_only(recipe), None)


def missing(recipe: Recipe, *, gpu: bool, fp8: bool = False) -> Only | None:
    """What `recipe` needs and this machine or installation lacks for its loss, optimizer or operations; `gpu`
    says whether a GPU trains, `fp8` whether that multiplies 8-bit floats.
    """
    name = recipe.train.optimizer
    if name in PACKAGES and find_spec(PACKAGES[name].replace("-", "_")) is None:
        return (f"train.optimizer: {name} needs the package {PACKAGES[name]}, which is not installed.",
                f"Run pip install {PACKAGES[name]}, or write train.optimizer: adamw_8bit.")
    if recipe.model.kernels and (why := _without_kernels(gpu)):
        return f"model.kernels: true {why}.", "Write model.kernels: false; nothing else changes."
    if recipe.train.tf32 and not gpu:
        return "train.tf32 is a way of GPUs, and none trains here.", "Write train.tf32: false."
    if recipe.train.qat != "none" and find_spec("torchao") is None:
        return (f"train.qat: {recipe.train.qat} needs the package torchao, which is not installed.",
                "Run pip install torchao, or write train.qat: none.")
    if recipe.train.float8 and not fp8:
        return ("train.float8 needs a GPU that multiplies 8-bit floats (compute capability 8.9: L4, RTX 40, H100 and "
                f"later), and {'this one does not' if gpu else 'none trains here'}.",
                "Write train.float8: false; bfloat16 trains the same.")
    if recipe.train.float8 and find_spec("torchao") is None:
        return ("train.float8 needs the package torchao, which is not installed.",
                "Run pip install torchao, or write train.float8: false.")
    if recipe.train.loss != "liger":
        return None
    if not gpu:
        return "train.loss: liger needs a GPU, for its kernels are Triton's.", "Write train.loss: chunked."
    if find_spec("liger_kernel") is None:
        return ("train.loss: liger needs the package liger-kernel, which is not installed.",
                "Run pip install liger-kernel, or write train.loss: chunked.")
    return None


def _without_kernels(gpu: bool) -> str | None:
    """Why no kernel can be had from the hub here."""
    from ftui.models.hub import offline

    if not gpu:
        return "needs a GPU, for which the hub's kernels are compiled"
    if find_spec("kernels") is None:
        return "needs the package kernels (pip install kernels), which is not installed"
    return "fetches kernels from the hub, which may not be asked: HF_HUB_OFFLINE is set" if offline() else None


def _planned_only(recipe: Recipe) -> Iterator[Only]:
    train, compute = recipe.train, recipe.compute
    objective, adapter = OBJECTIVES[recipe.objective.kind], ADAPTERS[recipe.adapter.kind]
    if not objective.trains:
        trained = " and ".join(f"{row.title.lower()} ({kind})" for kind, row in OBJECTIVES.items() if row.trains)
        yield (f"{objective.title} can be planned, not trained yet: this ftui trains {trained}.",
               "See what it would take with ftui plan, or write objective: {kind: sft}.")
    if not adapter.trains:
        trained = " and ".join(f"{row.title} ({kind})" for kind, row in ADAPTERS.items() if row.trains)
        yield (f"{adapter.title} can be planned, not trained yet: this ftui trains {trained}.",
               "See what it would take with ftui plan, or write adapter: {kind: lora}.")
    if train.trainer != "ftui":
        yield _said("train.trainer", train.trainer, "ftui trains with its own trainer", "ftui")
    if train.loss == "cut":
        yield _said("train.loss", "cut", "its kernels are not among ftui's losses", "chunked, tiled, full or liger")
    if getattr(recipe.adapter, "dtype", "auto") == "float16":
        yield _said("adapter.dtype", "float16", "the scaled gradients of float16 weights can't be unscaled",
                    "auto, float32 or bfloat16")
    if isinstance(compute.gpus, int) and compute.gpus > 1:
        yield _said("compute.gpus", str(compute.gpus), "ftui trains on one GPU so far", "1")
    if compute.strategy not in ("auto", "single"):
        yield _said("compute.strategy", compute.strategy, "ftui trains on one GPU so far", "auto or single")
    if compute.stack != "current":
        yield _said("compute.stack", compute.stack, "a run uses the libraries that are installed", "current")
    yield from wrong_combinations(recipe)


def _said(path: str, value: str, why: str, instead: str) -> Only:
    return f"{path}: {value} can be planned, not trained: {why}.", f"Write {path}: {instead}."
