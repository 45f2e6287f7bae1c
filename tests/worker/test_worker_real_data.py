"""Real data on the embedded model: the loss falls by what was measured when this was written, less a margin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]


def on(source: dict[str, Any], recipe: Recipe, **settings: Any) -> Recipe:
    data = recipe.data.model_validate(recipe.data.as_dict() | {"sources": [source], "max_length": 192})
    values = {
        "train.max_steps": 30, "train.micro_batch": 4, "train.effective_batch": 4, "train.eval_steps": 10,
        "train.save_steps": 100, "train.learning_rate": 4e-3, "data.validation": 16,
    }
    return assign(recipe.model_copy(update={"data": data}), values | settings)


@pytest.mark.parametrize(
    ("source", "fall"),
    [
        ({"path": "llamafactory/alpaca_en_demo.json"}, 2.5),
        ({"path": "gsm8k/train.jsonl", "columns": {"prompt": "question", "completion": "answer"}, "limit": 400}, 3.0),
    ],
    ids=["alpaca", "gsm8k"],
)
def test_the_loss_falls_on_real_data(
    source: dict[str, Any], fall: float, train: Callable[..., Any], resolved: Callable[..., Recipe],
    trained_demo: Path, shared_data: Path,
) -> None:
    ran = train(on({**source, "path": str(shared_data / source["path"])}, resolved()))
    assert ran.end["status"] == "finished", ran.end
    losses = list(ran.losses.values())
    first, last = sum(losses[:3]) / 3, sum(losses[-3:]) / 3
    evaluations = [event.data["eval_loss"] for event in ran.of("evaluation")]
    print(f"training loss {first:.3f} -> {last:.3f}, validation loss {evaluations}")
    assert first - last >= fall
    assert evaluations[-1] < evaluations[0]
