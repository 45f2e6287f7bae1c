"""Every file of real data, in the form it was published in, trains three steps as what it was detected to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

STEPS = {
    "train.max_steps": 3, "train.micro_batch": 2, "train.effective_batch": 2, "train.eval_steps": 3,
    "train.save_steps": 100, "data.validation": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "objective"),
    [
        ("llamafactory/alpaca_en_demo.json", "sft"),
        ("llamafactory/identity.json", "sft"),
        ("llamafactory/glaive_toolcall_en_demo.json", "sft"),
        ("llamafactory/c4_demo.jsonl", "sft"),
        ("llamafactory/wiki_demo.txt", "sft"),
        ("llamafactory/dpo_en_demo.json", "dpo"),
        ("llamafactory/kto_en_demo.json", "kto"),
        ("gsm8k/train.jsonl", "sft"),
        ("gsm8k/test.jsonl", "sft"),
    ],
)
def test_it_trains_three_steps(
    file: str, objective: str, train: Callable[..., Any], resolved: Callable[..., Recipe], random_demo: Path,
    shared_data: Path,
) -> None:
    recipe = resolved()
    data = recipe.data.as_dict() | {"sources": [{"path": str(shared_data / file), "limit": 60}], "max_length": 192}
    changed = recipe.model_copy(update={"data": recipe.data.model_validate(data)})
    if objective != "sft":
        changed = Recipe.model_validate(changed.as_dict() | {"objective": {"kind": objective}})
    ran = train(assign(changed, STEPS))
    assert ran.end["status"] == "finished", ran.end
    assert sorted(ran.losses)[-1] == 3
    assert all(loss == loss and loss < 100 for loss in ran.losses.values())
