"""Weights & Biases, TensorBoard, MLflow and trackio: the curves go there, too; if they can't, the training goes on."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from transformers import TrainerCallback

from ftui.recipe.document import Recipe
from ftui.worker.context import JobContext


class Guarded(TrainerCallback):
    """Another callback whose failures end it, with a warning, and nothing else."""

    def __init__(self, inner: Any, name: str, context: JobContext) -> None:
        self._inner: Any = inner
        self._name, self._context = name, context

    def _hand_on(self, event: str, *args: Any, **kwargs: Any) -> None:
        if self._inner is None:
            return
        try:
            getattr(self._inner, event)(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  (a tracker's server, login or disk must not cost the training)
            self._inner = None
            self._context.warn(f"{self._name} failed: {_first_line(error)}", "The training goes on without it.")

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._hand_on("on_train_begin", *args, **kwargs)

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        self._hand_on("on_log", *args, **kwargs)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self._hand_on("on_train_end", *args, **kwargs)


def add_trackers(trainer: Any, recipe: Recipe, context: JobContext) -> None:
    """Add the trackers that the recipe asks for to a trainer."""
    if recipe.tracking.wandb:
        os.environ["WANDB_PROJECT"] = recipe.tracking.wandb
        os.environ.setdefault("WANDB_DIR", str(context.folder))
        os.environ.setdefault("WANDB_SILENT", "true")
        trainer.args.run_name = context.info.id
        _add(trainer, context, "Weights & Biases", "wandb", "WandbCallback", "pip install wandb, then: wandb login")
    if recipe.tracking.tensorboard:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(context.folder / "tensorboard")
        _add(trainer, context, "TensorBoard", "tensorboard", "TensorBoardCallback", "pip install tensorboard")
    if recipe.tracking.mlflow:
        os.environ["MLFLOW_EXPERIMENT_NAME"] = recipe.tracking.mlflow
        trainer.args.run_name = context.info.id
        _add(trainer, context, "MLflow", "mlflow", "MLflowCallback", "pip install mlflow")
    if recipe.tracking.trackio:
        trainer.args.project, trainer.args.run_name = recipe.tracking.trackio, context.info.id
        _add(trainer, context, "trackio", "trackio", "TrackioCallback", "pip install trackio")


def _add(trainer: Any, context: JobContext, name: str, package: str, callback: str, remedy: str) -> None:
    if importlib.util.find_spec(package) is None:
        context.warn(f"{name} is not installed, so nothing is logged there.", remedy)
        return
    try:
        inner = getattr(importlib.import_module("transformers.integrations"), callback)()
    except Exception as error:  # noqa: BLE001  (as above)
        context.warn(f"{name} can't be used: {_first_line(error)}", remedy)
        return
    trainer.add_callback(Guarded(inner, name, context))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
