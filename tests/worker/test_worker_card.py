"""The model card says in proper sentences what was made of which base."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ftui.methods import ADAPTERS
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.worker.output import model_card

pytestmark = pytest.mark.torch
PREPARED: Any = SimpleNamespace(train_rows=1200, labels=(), multi_label=False, pictured=False, tasks=(), versions=())


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("lora", "An adapter (LoRA) for `some/model`, trained with ftui by supervised fine-tuning on 1,200 rows."),
        ("none", "`some/model` after full fine-tuning, trained with ftui by supervised fine-tuning on 1,200 rows."),
        ("freeze", "`some/model` after freeze tuning, trained with ftui by supervised fine-tuning on 1,200 rows."),
        ("bitfit", "`some/model` after BitFit, trained with ftui by supervised fine-tuning on 1,200 rows."),
    ],
)
def test_the_first_sentence_says_what_it_is(kind: str, sentence: str) -> None:
    recipe = assign(Recipe(), {"model.base": "some/model", "adapter.kind": kind})
    is_adapter = ADAPTERS[kind].saved == "adapter"
    card = model_card(recipe, "some/model", None, {"eval_loss": 1.5}, {"ftui": "0.1"}, PREPARED, is_adapter)
    assert sentence in card.splitlines()
