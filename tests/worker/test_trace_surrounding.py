"""The closed form of memory against a dry trace of what the worker builds: adapters around blocks, a frozen part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftui import hardware, models
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of
from ftui.recipe import parse

pytestmark = [pytest.mark.torch, pytest.mark.slow]

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 4096, "hidden_size": 512,
    "intermediate_size": 1408, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4,
    "max_position_embeddings": 1024, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}


@pytest.mark.parametrize(("adapter", "how"), [
    ("{kind: bottleneck}", "none"), ("{kind: bottleneck, placement: parallel, activation: gelu}", "nf4"),
    ("{kind: compacter}", "none"), ("{kind: lora_bottleneck}", "nf4"), ("{kind: lora_prompt}", "none"),
    ("{kind: none}", "galore"), ("{kind: freeze}", "galore"),
    ("{kind: freeze}", "none"), ("{kind: freeze, end: first, modules: [down_proj]}", "none"),
])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_plan_is_met_by_the_trace(
    adapter: str, how: str, checkpointing: bool, tmp_path: Path, own_home: Path
) -> None:
    from ftui.worker.trace.tracing import trace_step

    if how == "galore":
        pytest.importorskip("pytorch_optimizer")
    optimizer, quantization = ("galore", "none") if how == "galore" else ("adamw", how)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    recipe = parse(
        f"model: {{base: {config}, quantization: {quantization}, dtype: bfloat16, attention: sdpa}}\n"
        f"data: {{sources: [{{path: demo}}], max_length: 512, packing: false}}\nadapter: {adapter}\n"
        "train: {micro_batch: 2, effective_batch: 2, learning_rate: 1.0e-4, galore_rank: 64, "
        f"optimizer: {optimizer}, checkpointing: {str(checkpointing).lower()}}}"
    )
    setup = setup_of(recipe, hardware.load(BOXES / "rtx3090.json"), models.describe(str(config)), None)
    planned = memory(setup).phases
    # No trace evaluates.
    most = max(size for phase, size in planned.items() if phase not in ("evaluation", "load"))
    traced = trace_step(recipe, CONFIG, rows=2, length=512)
    assert most == pytest.approx(traced.allocated_bytes, rel=0.02)
