"""Options of LoRA that can't stand together are refused at the recipe, each with its reason and what to write."""

from __future__ import annotations

import pytest

from ftui.recipe import assign, parse
from ftui.recipe.combinations import wrong_combinations
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import planned_only

REFUSED = [
    ("{init: pissa}", "nf4", "would round away"),
    ("{init: olora}", "int8", "would round away"),
    ("{init: corda}", "nf4", "would round away"),
    ("{init: lora_ga}", "fp4", "would round away"),
    ("{init: mica}", "nf4", "own number format"),
    ("{init: orthogonal}", "nf4", "own number format"),
    ("{init: loftq}", "none", "what 4 bits lose"),
    ("{init: loftq}", "int8", "what 4 bits lose"),
    ("{dora: true, bias: true}", "none", "no DoRA with a bias"),
    ("{dora: true, init: pissa}", "none", "magnitudes"),
    ("{dora: true, init: loftq}", "nf4", "magnitudes"),
    ("{dora: true, qalora_group: 8}", "none", "QALoRA and DoRA"),
    ("{dora: true, update: fa}", "none", "pairs each A"),
    ("{bias: true, init: gaussian}", "none", "own start only"),
    ("{bias: true, update: fa}", "none", "pairs each A"),
    ("{init: orthogonal, rank: 5}", "none", "even ranks"),
    ("{init: orthogonal, rank: 4, rank_pattern: {q_proj: 3}}", "none", "even ranks"),
    ("{pissa_iterations: 4}", "none", "belongs to PiSSA"),
    ("{layer_replication: '0-1, 1-2', init: pissa}", "none", "share their weights"),
    ("{layer_replication: '0-1, 1-2', layers: '0'}", "none", "by their adapters alone"),
    ("{layer_replication: all}", "none", "names no layers"),
    ("{qalora_group: 8, init: eva}", "none", "no start"),
    ("{init: mica, update: fa}", "none", "nothing would train"),
    ("{init: mica, update: riemannian}", "none", "both matrices"),
    ("{update: riemannian, parameters: [mlp.experts.down_proj]}", "none", "stacked"),
    ("{targets: 're:(.*'}", "none", "no pattern"),
    ("{targets: [q_proj, 're:.*']}", "none", "stands alone"),
    ("{targets: [embed_out]}", "none", "LoRA on the head"),
    ("{targets: 're:.*'}", "none", "LoRA on the head"),
    ("{targets: [embed_tokens]}", "none", "not on an embedding"),
    ("{layers: some}", "none", "names no layers"),
    ("{rank_pattern: {'(': 4}}", "none", "neither a name nor a pattern"),
    ("{rank_pattern: {q_proj: 0}}", "none", "above zero"),
    ("{tokens: [5], modules_to_save: [embed_tokens]}", "none", "some rows of it"),
    ("{targets: [q_proj], modules_to_save: [q_proj]}", "none", "and train whole"),
    ("{parameters: [mlp.experts.down_proj], dropout: 0.1}", "none", "no dropout"),
    ("{parameters: [mlp.experts.down_proj], init: pissa}", "none", "no init"),
    ("{parameters: [mlp.experts.down_proj], layers: '0'}", "none", "no layers"),
]


def recipe_of(adapter: str, quantization: str) -> Recipe:
    return parse(f"model: {{base: x/y, quantization: {quantization}}}\nadapter: {adapter}")


@pytest.mark.parametrize(("adapter", "quantization", "said"), REFUSED)
def test_what_cant_stand_together_is_refused_with_its_reason(adapter: str, quantization: str, said: str) -> None:
    found = list(wrong_combinations(recipe_of(adapter, quantization)))
    assert any(said in what for what, _ in found), found
    assert all(what.endswith(".") and hint.endswith(".") for what, hint in found)
    assert planned_only(recipe_of(adapter, quantization)) in found


def test_lora_fa_keeps_to_its_own_adamw() -> None:
    recipe = assign(recipe_of("{update: fa}", "none"), {"train.optimizer": "adamw_8bit"})
    assert "an AdamW of its own" in (planned_only(recipe) or ("",))[0]


@pytest.mark.parametrize(
    ("objective", "refused"),
    [
        ("{kind: grpo, beta: 0.04}", True), ("{kind: grpo, beta: 0}", False), ("{kind: dpo}", False),
        ("{kind: sft}", False),
    ],
)
def test_a_start_that_changes_the_base_leaves_no_reference_to_hold_against(objective: str, refused: bool) -> None:
    recipe = parse(f"model: {{base: x/y}}\nobjective: {objective}\nadapter: {{init: pissa}}")
    assert any("reference" in what for what, _ in wrong_combinations(recipe)) == refused


@pytest.mark.parametrize(
    ("adapter", "quantization"),
    [
        ("{init: pissa, pissa_iterations: 16, rslora: true, rank_pattern: {down_proj: 32}}", "none"),
        ("{init: loftq}", "nf4"), ("{init: eva, eva_rho: 2}", "nf4"), ("{dora: true}", "nf4"),
        ("{update: plus, plus_ratio: 8, tokens: [5, '<|im_end|>']}", "int8"), ("{qalora_group: 32}", "nf4"),
        ("{targets: 're:.*layers\\.[0-3]\\..*_proj', layers: last 2}", "none"),
        ("{init: olora, modules_to_save: [lm_head, embed_tokens]}", "none"),
        ("{bias: true, update: riemannian}", "none"),
    ],
)
def test_what_can_stand_together_is_let_through(adapter: str, quantization: str) -> None:
    assert not list(wrong_combinations(recipe_of(adapter, quantization)))
