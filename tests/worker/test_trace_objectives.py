"""The closed form of memory against a dry trace of what the worker builds, for the objectives by preferences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftui import hardware, models
from ftui.errors import BadInput
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of
from ftui.recipe import parse
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow]

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000, "hidden_size": 512,
    "intermediate_size": 1408, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4,
    "max_position_embeddings": 1024, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}
LORA = "{kind: lora, rank: 16, alpha: 32, dropout: 0, targets: all-linear}"


def recipe_of(objective: str, adapter: str, config: Path, checkpointing: bool = False) -> Recipe:
    return parse(
        f"model: {{base: {config}, quantization: none, dtype: bfloat16, attention: sdpa}}\n"
        f"data: {{sources: [{{path: demo}}], max_length: 512, packing: false}}\nadapter: {adapter}\n"
        f"objective: {objective}\n"
        "train: {micro_batch: 2, effective_batch: 2, learning_rate: 1.0e-4, optimizer: adamw, "
        f"checkpointing: {str(checkpointing).lower()}}}"
    )


@pytest.mark.parametrize("adapter", [LORA, "{kind: none}", "{kind: freeze}"], ids=["lora", "full", "freeze"])
@pytest.mark.parametrize("objective", [
    "{kind: dpo}", "{kind: dpo, precompute_reference: true}", "{kind: kto}", "{kind: kto, precompute_reference: true}",
    "{kind: orpo}", "{kind: cpo}", "{kind: cpo, loss_type: simpo, cpo_alpha: 0}", "{kind: reward}",
])
def test_a_plan_is_met_by_the_trace(objective: str, adapter: str, tmp_path: Path, own_home: Path) -> None:
    from ftui.worker.trace.tracing import trace_step

    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    recipe = recipe_of(objective, adapter, config, checkpointing=adapter == LORA)
    planned = memory(setup_of(recipe, hardware.load(BOXES / "rtx3090.json"), models.describe(str(config)), None)).phases
    # No trace evaluates.
    most = max(size for phase, size in planned.items() if phase not in ("evaluation", "load"))
    traced = trace_step(recipe, CONFIG, rows=2, length=512, padded=True)
    assert most == pytest.approx(traced.allocated_bytes, rel=0.02)


def test_a_step_that_generates_is_refused_with_a_sentence(tmp_path: Path, own_home: Path) -> None:
    from ftui.worker.trace.tracing import trace_step

    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    with pytest.raises(BadInput, match="can't be traced"):
        trace_step(recipe_of("{kind: grpo}", LORA, config), CONFIG, rows=2, length=512)
