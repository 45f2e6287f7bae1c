"""What a recipe can state and only the planner knows is refused in one sentence, whatever else it says."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.recipe.pairs import impossible_pairs
from ftui.recipe.trainable import missing, planned_only


def raw(settings: dict[str, Any]) -> Recipe:
    """A recipe of these dotted settings that nobody has looked at."""
    values: dict[str, dict[str, Any]] = {}
    for path, value in settings.items():
        section, _, name = path.partition(".")
        values.setdefault(section, {"kind": "lora"} if section == "adapter" else {})[name] = value
    return Recipe.model_validate(values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("train.trainer", "trl"), ("train.trainer", "transformers"), ("train.loss", "cut"),
        ("adapter.dtype", "float16"), ("compute.gpus", 2), ("compute.strategy", "zero3"),
        ("compute.stack", "2024-01"),
    ],
)
def test_what_can_only_be_planned_says_so_and_what_to_write(path: str, value: Any) -> None:
    found = planned_only(assign(Recipe(), {path: value}))
    assert found is not None
    what, hint = found
    assert what.startswith(f"{path}: {value} can be planned, not trained: ")
    assert hint.startswith(f"Write {path}: ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.upcast", "all"), ("data.padding", "free"), ("train.loss", "tiled"),
        ("train.optimizer", "paged_lion_8bit"),
        ("train.activation_offload", True), ("adapter.dtype", "bfloat16"), ("compute.strategy", "single"),
        ("compute.allocator", "native"), ("compute.gpus", 1), ("compute.gpus", 0),
    ],
)
def test_what_the_worker_does_is_let_through(path: str, value: Any) -> None:
    assert planned_only(assign(Recipe(), {path: value})) is None


def test_ligers_loss_needs_its_package_and_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    liger = assign(Recipe(), {"train.loss": "liger"})
    assert "GPU" in (missing(liger, gpu=False) or ("",))[0]
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", lambda name: None)
    assert "pip install liger-kernel" in (missing(liger, gpu=True) or ("", ""))[1]
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", lambda name: ModuleType(name))
    assert missing(liger, gpu=True) is None
    assert missing(Recipe(), gpu=False) is None


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"model.dtype": "float16", "adapter.dtype": "bfloat16"}, "adapter.dtype"),
        ({"train.loss": "liger", "compute.gpus": 0}, "train.loss"),
    ],
)
def test_pairs_that_no_device_can_train_are_refused_as_they_are_written(settings: dict[str, Any], path: str) -> None:
    assert [found for found, _ in impossible_pairs(raw(settings))] == [path]
