"""The trace as a job: asked for, made, kept, and read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui import hardware, models, tracing
from ftui.errors import Refused, RunFailed
from ftui.planner import estimate
from ftui.recipe import assign
from ftui.recipe.document import Recipe

pytestmark = pytest.mark.torch

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512, "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Recipe, Any, Any]:
    """(a resolved recipe, its model's shape, a card)."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    recipe = Recipe.model_validate({
        "name": "t", "model": {"base": str(config), "quantization": "none", "dtype": "bfloat16", "attention": "sdpa"},
        "data": {"sources": [{"path": "demo"}], "max_length": 64, "packing": False}, "adapter": {"kind": "none"},
        "train": {"micro_batch": 2, "effective_batch": 2, "learning_rate": 1e-4, "optimizer": "adamw",
                  "checkpointing": False},
    })  # fmt: skip
    return recipe, models.describe(str(config)), hardware.load(BOXES / "rtx3090.json")


def test_the_job_writes_a_trace_that_is_found_again(
    asked: tuple[Recipe, Any, Any], work: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, shape, box = asked
    assert tracing.cached(recipe, shape, box) is None
    # The worker is this process.
    monkeypatch.setattr("ftui.runs.control.start", lambda run: None)
    run = tracing.start(recipe, shape, box)
    ran = work(run)
    assert ran.end["status"] == "finished", ran.end
    found = tracing.finished(run)
    assert found == tracing.cached(recipe, shape, box)
    memory = found.memory
    assert memory.badge == "traced"
    parts = memory.parts.model_dump()
    assert sum(parts.values()) - parts["context"] - parts["slack"] == memory.allocated_bytes
    assert memory.low_bytes <= memory.process_bytes <= memory.high_bytes
    assert max(found.phases.values()) == memory.allocated_bytes
    assert max(point.allocated_bytes for point in found.timeline) == memory.allocated_bytes
    assert (found.layers, found.traced_layers) == (8, (5,))
    assert found.where
    # The closed form says nearly the same.
    assert memory.allocated_bytes == pytest.approx(estimate(recipe, box, shape, None).memory.allocated_bytes, rel=0.05)


@pytest.mark.parametrize(
    "change",
    [{"train.micro_batch": 1}, {"data.max_length": 128}, {"train.checkpointing": True}, {"train.loss": "full"}],
)
def test_another_configuration_has_another_key(asked: tuple[Recipe, Any, Any], change: dict[str, Any]) -> None:
    recipe, shape, box = asked
    assert tracing.key(recipe, shape, box) != tracing.key(assign(recipe, change), shape, box)


def test_what_has_no_bearing_on_memory_keeps_the_key(asked: tuple[Recipe, Any, Any]) -> None:
    recipe, shape, box = asked
    other = assign(recipe, {"name": "another", "train.learning_rate": 3e-4, "train.epochs": 2})
    assert tracing.key(recipe, shape, box) == tracing.key(other, shape, box)


def test_another_version_of_a_library_has_another_key(
    asked: tuple[Recipe, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, shape, box = asked
    before = tracing.key(recipe, shape, box)
    monkeypatch.setattr("ftui.runs.folder.versions", lambda: {"torch": "99"})
    assert tracing.key(recipe, shape, box) != before


def test_a_damaged_result_is_made_again(asked: tuple[Recipe, Any, Any]) -> None:
    recipe, shape, box = asked
    file = tracing.path(tracing.key(recipe, shape, box))
    file.parent.mkdir(parents=True)
    file.write_text('{"version": 1')
    assert tracing.cached(recipe, shape, box) is None


def test_offloaded_activations_are_refused(asked: tuple[Recipe, Any, Any]) -> None:
    recipe, shape, box = asked
    with pytest.raises(Refused, match="host memory"):
        tracing.start(assign(recipe, {"train.activation_offload": True}), shape, box)


@pytest.mark.parametrize("change", [{"train.qat": "int8"}, {"train.float8": True}])
def test_what_is_rounded_while_it_trains_is_refused(asked: tuple[Recipe, Any, Any], change: dict[str, Any]) -> None:
    recipe, shape, box = asked
    with pytest.raises(Refused, match="rounded in every pass"):
        tracing.start(assign(recipe, change), shape, box)


def test_a_trace_without_a_result_says_why(
    asked: tuple[Recipe, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, shape, box = asked
    monkeypatch.setattr("ftui.runs.control.start", lambda run: None)
    run = tracing.start(recipe, shape, box)
    with pytest.raises(RunFailed, match="no result"):
        tracing.finished(run)
