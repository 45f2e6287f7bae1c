"""Trained keys and values before every row: held against steps that the trace ran, and what peft refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ftui.data.document import DataProfile
from ftui.errors import BadInput
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import estimate, plan, resolve
from ftui.planner.memory import memory
from ftui.planner.setup import Setup, setup_of
from ftui.recipe import assign
from ftui.recipe.document import Recipe

MIB = 1 << 20
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 1024, "intermediate_size": 2816,
    "num_hidden_layers": 8, "num_attention_heads": 16, "head_dim": 64, "vocab_size": 32000,
    "max_position_embeddings": 4096, "tie_word_embeddings": False,
}
ASKED = {
    "train.micro_batch": 4, "train.effective_batch": 4, "train.learning_rate": 1e-4, "data.max_length": 1024,
    "data.packing": False, "train.checkpointing": False, "train.optimizer": "adamw", "model.dtype": "bfloat16",
    "model.attention": "sdpa", "train.eval_steps": 10, "train.save_steps": 10, "compute.gpus": 1,
    "model.quantization": "none",
}
# Key-value heads, what is asked beside ASKED, MiB at the peak of `ftui.worker.trace.tracing.trace_step(..., full=True)`
# with torch 2.13, transformers 5.23 and peft 0.21.
TRACED: list[tuple[int, dict[str, Any], float]] = [
    (4, {"adapter.kind": "prefix_tuning"}, 1993.2),
    (4, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256}, 2055.9),
    (4, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256, "adapter.projection": True}, 2060.6),
    (4, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256, "train.loss": "full"}, 2979.9),
    (4, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256, "model.attention": "eager"}, 5873.9),
    (4, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 64, "model.quantization": "nf4"}, 1875.9),
    (4, {"adapter.kind": "cartridge", "adapter.virtual_tokens": 256, "adapter.frozen_tokens": 64}, 2053.9),
    (16, {"adapter.kind": "prefix_tuning"}, 1987.4),
    (16, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256}, 2075.9),
    (16, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256, "adapter.projection": True}, 2273.1),
    (16, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256, "train.loss": "full"}, 3039.9),
    (16, {"adapter.kind": "cartridge", "adapter.virtual_tokens": 256, "adapter.frozen_tokens": 64}, 2067.9),
    (16, {"adapter.kind": "prefix_tuning", "adapter.virtual_tokens": 256, "train.micro_batch": 1,
          "train.effective_batch": 1, "data.max_length": 256}, 524.3),
]


def setup(box: Hardware, kv_heads: int, more: dict[str, Any]) -> Setup:
    shape = build({**CONFIG, "num_key_value_heads": kv_heads}, Origin("some/model", "config"))
    return setup_of(assign(Recipe(), {**ASKED, **more}), box, shape, None)


@pytest.mark.parametrize(("kv_heads", "more", "traced"), TRACED)
def test_the_formula_meets_traced_steps_of_prefixes_within_a_fifth_of_a_percent(
    boxes: dict[str, Hardware], kv_heads: int, more: dict[str, Any], traced: float
) -> None:
    assert memory(setup(boxes["a100"], kv_heads, more)).allocated_bytes == pytest.approx(traced * MIB, rel=0.002)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(("kv_heads", "more"), [(4, TRACED[1][1]), (16, TRACED[9][1])])
def test_the_trace_still_says_so(boxes: dict[str, Hardware], kv_heads: int, more: dict[str, Any]) -> None:
    from ftui.worker.trace.tracing import trace_step

    recipe = assign(Recipe(), {**ASKED, **more})
    traced = trace_step(recipe, {**CONFIG, "num_key_value_heads": kv_heads}, full=True).allocated_bytes
    assert memory(setup(boxes["a100"], kv_heads, more)).allocated_bytes == pytest.approx(traced, rel=0.002)


def test_a_prefix_is_planned_without_checkpointing_which_peft_refuses(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    draft = assign(Recipe(), {"adapter.kind": "prefix_tuning"})
    for box in boxes.values():
        found = plan(box, shapes["llama3-8b"], rows(), draft)
        for option in (found.recommendation, *found.alternatives, *found.rejected):
            assert option.method == "full" or option.settings["train.checkpointing"] is False
            assert all(change.path != "train.checkpointing" for change in option.verdict.changes)
    recipe = assign(resolve(draft, found), {"train.checkpointing": True})
    with pytest.raises(BadInput, match="checkpointing"):
        estimate(recipe, boxes["a100"], shapes["llama3-8b"], rows())
