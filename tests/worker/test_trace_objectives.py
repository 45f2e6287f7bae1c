"""The closed form of memory against a dry trace of what the worker builds, for every objective but the supervised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftui import hardware, models
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of
from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow]

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000, "hidden_size": 512,
    "intermediate_size": 1408, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4,
    "max_position_embeddings": 1024, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}
UNTRACED = ("evaluation", "load", "prompt reading", "generation")
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
    "{kind: classify}", "{kind: classify, class_weights: balanced}",
    "{kind: distill, teacher: no/teacher, max_completion_length: 256}",
    "{kind: distill, teacher: no/teacher, on_policy: 0.5, hard_labels: 0.3, max_completion_length: 256}",
    "{kind: distill, teacher: no/teacher, on_policy: 0, hard_labels: 0.3}",
    *(f"{{kind: {kind}, rewards: [exact], max_completion_length: 256}}"
      for kind in ("grpo, generations: 2", "grpo, generations: 2, beta: 0.04", "rloo, generations: 2", "online_dpo",
                   "ppo")),
])
def test_a_plan_is_met_by_the_trace(objective: str, adapter: str, tmp_path: Path, own_home: Path) -> None:
    from ftui.worker.trace.tracing import trace_step

    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    recipe = recipe_of(objective, adapter, config, checkpointing=adapter == LORA)
    setup = setup_of(recipe, hardware.load(BOXES / "rtx3090.json"), models.describe(str(config)), None)
    # No trace evaluates, or writes answers.
    most = max(size for phase, size in memory(setup).phases.items() if phase not in UNTRACED)
    traced = trace_step(recipe, CONFIG, rows=2, length=setup.length, padded=True)
    assert most == pytest.approx(traced.allocated_bytes, rel=0.02)


def test_a_reward_model_is_counted_beside_the_step(tmp_path: Path, own_home: Path) -> None:
    from ftui.worker.trace.tracing import trace_step

    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    plain = "{kind: rloo, rewards: [exact], generations: 2, max_completion_length: 64"
    without, beside = (
        trace_step(recipe_of(f"{plain}{more}}}", LORA, config), CONFIG, rows=2, length=128)
        for more in ("", ", reward_parameters: 0.5")
    )
    assert beside.allocated_bytes - without.allocated_bytes == 10**9
    assert beside.peaks.static - without.peaks.static == 10**9


def test_the_model_that_a_judge_asks_is_counted_by_its_stated_size_and_not_loaded(
    tmp_path: Path, own_home: Path
) -> None:
    from ftui.worker.trace.tracing import trace_step

    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    judged = "{kind: online_dpo, max_completion_length: 64, judge: [shorter, asks:no/judge]"
    without, beside = (
        trace_step(recipe_of(f"{judged}{more}}}", LORA, config), CONFIG, rows=2, length=128)
        for more in ("", ", reward_parameters: 0.5")
    )
    assert beside.peaks.static - without.peaks.static == 10**9


def test_a_teacher_is_traced_as_its_config_says(tmp_path: Path, own_home: Path) -> None:
    from ftui.worker.trace.tracing import trace_step

    config, teacher = tmp_path / "config.json", tmp_path / "teacher"  # of a teacher no more than its config is read
    config.write_text(json.dumps(CONFIG))
    teacher.mkdir()
    (teacher / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 12}))
    asked = "{{kind: distill, teacher: {}, max_completion_length: 64}}"
    larger, like = (
        trace_step(recipe_of(asked.format(name), LORA, config), CONFIG, rows=2, length=128)
        for name in (teacher, "no/teacher")
    )
    layer = 2 * (512 * (2 * 512 + 2 * 256) + 3 * 512 * 1408 + 2 * 512)
    assert larger.peaks.static - like.peaks.static == pytest.approx(8 * layer, rel=0.01)
    assert "one like the student was traced in its place" in like.notes[0]
    assert not larger.notes


def test_where_writing_the_answers_takes_more_than_the_step_the_formula_says_so(tmp_path: Path, own_home: Path) -> None:
    from ftui.worker.trace.report import document
    from ftui.worker.trace.tracing import trace_step

    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    box, shape = hardware.load(BOXES / "rtx3090.json"), models.describe(str(config))
    for batch, more in ((2, False), (512, True)):
        recipe = assign(
            recipe_of("{kind: rloo, rewards: [exact], generations: 2, max_completion_length: 256}", LORA, config),
            {"train.effective_batch": batch},
        )
        setup = setup_of(recipe, box, shape, None)
        traced = trace_step(recipe, CONFIG, rows=2, length=setup.length)
        found = document(traced, setup, key="k", model="m", versions={}, seconds=1.0, rss=0)
        assert any("Writing the answers isn't traced" in note for note in found.notes)
        assert (found.memory.badge == "estimate") is more
        assert found.memory.allocated_bytes >= traced.allocated_bytes
