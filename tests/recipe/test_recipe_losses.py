"""What a loss can't be: refused before anything loads, each with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.recipe.loss_combinations import wrong_loss

TAUGHT = {"objective.kind": "distill", "objective.teacher": "some/teacher"}


@pytest.mark.parametrize(("settings", "said"), [
    ({"objective.loss_type": "dft", "train.loss": "tiled"}, "ftui's chunked loss, and train.loss is tiled"),
    ({"objective.label_smoothing": 0.1, "train.loss": "full"}, "objective.label_smoothing is built into"),
    ({"objective.loss_type": "dft", "objective.label_smoothing": 0.1}, "DFT weighs a token"),
    ({"objective.kind": "distill"}, "objective.teacher is empty"),
    ({**TAUGHT, "objective.hard_labels": 0.5}, "none of them is read"),
    ({**TAUGHT, "adapter.kind": "prefix_tuning"}, "stands around the model"),
    ({**TAUGHT, "train.activation_offload": True}, "offloads no activations"),
])  # fmt: skip
def test_what_a_loss_cant_be_is_said(settings: dict[str, Any], said: str) -> None:
    found = list(wrong_loss(assign(Recipe(), settings)))
    assert any(said in what for what, _ in found), found
    assert all(instead.startswith("Write ") for _, instead in found)


@pytest.mark.parametrize("settings", [
    {}, {"objective.loss_type": "dft"}, {"objective.label_smoothing": 0.1}, TAUGHT,
    {**TAUGHT, "objective.on_policy": 0.5, "objective.hard_labels": 0.5}, {"objective.kind": "dpo"},
])  # fmt: skip
def test_what_it_can_be_is_not_refused(settings: dict[str, Any]) -> None:
    assert not list(wrong_loss(assign(Recipe(), settings)))


@pytest.mark.parametrize("kind", ["classify", "reward"])
def test_a_new_head_is_not_left_random(kind: str) -> None:
    from ftui.recipe.adapter_combinations import wrong_adapter

    recipe = assign(Recipe(), {"objective.kind": kind, "adapter.kind": "trainable_tokens"})
    assert any("would stay random" in what for what, _ in wrong_adapter(recipe))
