"""The trackers that a recipe can send its curves to, each by one setting of `tracking`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from ftui.recipe.document import Recipe


@dataclass(frozen=True)
class Tracker:
    """One tracker: its setting under `tracking`, its name, the package it needs, and transformers' callback for it."""

    setting: str
    title: str
    package: str
    callback: str


TRACKERS = (
    Tracker("wandb", "Weights & Biases", "wandb", "WandbCallback"),
    Tracker("tensorboard", "TensorBoard", "tensorboard", "TensorBoardCallback"),
    Tracker("mlflow", "MLflow", "mlflow", "MLflowCallback"),
    Tracker("trackio", "trackio", "trackio", "TrackioCallback"),
)


def installed(tracker: Tracker) -> bool:
    """Whether its package can be imported here, without importing it."""
    found = find_spec(tracker.package)
    # A folder of that name with the results of earlier runs has no origin, and is no package.
    return found is not None and found.origin is not None


def untracked(recipe: Recipe) -> tuple[str, str] | None:
    """Which tracker that `recipe` asks for can't be reached from here, and what to do, before a launch; a training that
    is under way goes on without it, and says so."""
    for tracker in TRACKERS:
        if getattr(recipe.tracking, tracker.setting) and not installed(tracker):
            return (f"tracking.{tracker.setting} needs the package {tracker.package}, which is not installed.",
                    f"Run pip install {tracker.package}, or leave tracking.{tracker.setting} out.")
    return None
