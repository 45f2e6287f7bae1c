"""Forty steps straight, and forty steps with a worker killed on the way, are the same training to the bit."""

from __future__ import annotations

import random
from typing import Any

import pytest

from .conftest import Trainings
from .fault import ORDER, Fault

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("faults-resume")]

METHODS: dict[str, dict[str, Any]] = {
    "lora, accumulated": {"train__neftune": 5.0, "train__group_by_length": True},
    "qlora": {"model__quantization": "nf4", "train__optimizer": "adamw_8bit"},
    "full, with a mean of the weights": {"adapter": None, "train__learning_rate": 1e-3, "train__ema": 0.9},
    "packed": {"data__packing": True, "train__checkpointing": True},
    "logged every seventh step": {"train__logging_steps": 7, "train__schedule": "wsd"},
    "other data workers": {"compute__data_workers": 2, "train__effective_batch": 6},
    "stopped early": {
        "adapter": None, "train__learning_rate": 0.1, "train__schedule": "constant", "train__warmup": 0.0,
        "evaluate__patience": 3, "train__eval_steps": 3,
    },
}


@pytest.mark.parametrize("method", METHODS)
def test_a_training_whose_worker_was_killed_and_resumed_is_the_same_training(
    method: str, trainings: Trainings
) -> None:
    settings = {"train__max_steps": 40, "train__save_steps": 7, "train__eval_steps": 10, **METHODS[method]}
    straight = trainings.make(**settings)
    whole = trainings.finish(straight, ORDER)
    last = whole.end[2]
    at = random.Random(method).randrange(3, last)
    broken = trainings.make(**settings)
    crashed = trainings.work(broken, ORDER, Fault("ftui.worker.session:Session.on_step_begin", "kill", at))
    assert crashed.state == "crashed"
    if method == "other data workers":
        recipe = broken.path / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("data_workers: 2", "data_workers: 1"))
        assert broken.recipe().compute.data_workers == 1
    again = trainings.finish(broken, ORDER)
    assert again.losses == whole.losses
    assert again.order == whole.order
    assert list(again.order) == list(range(1, last + 1))
    assert again.evaluations == whole.evaluations
    assert again.weights == whole.weights
    assert again.weights
    assert again.end == whole.end
    assert ("Stopped early" in whole.end[1]) == (method == "stopped early")
