"""Options of the preference objectives that trl would refuse late or pass over are refused at the recipe."""

from __future__ import annotations

import pytest

from ftui.recipe import parse
from ftui.recipe.combinations import wrong_combinations


@pytest.mark.parametrize(("objective", "said"), [
    ("{kind: dpo, loss_type: exo_pair}", "divides by the label smoothing"),
    ("{kind: dpo, label_smoothing: 0.1}", "sigmoid has no label smoothing"),
    ("{kind: dpo, loss_type: robust, label_smoothing: 0.1}", None),
    ("{kind: dpo, loss_type: aot, weighting: true}", "sorts the pairs"),
    ("{kind: dpo, loss_type: nca_pair, divergence: forward_kl}", "each answer by itself"),
    ("{kind: dpo, loss_type: hinge, divergence: forward_kl}", None),
    ("{kind: cpo, loss_type: ipo, label_smoothing: 0.1}", "no label smoothing"),
    ("{kind: cpo, loss_type: simpo, label_smoothing: 0.1}", None),
    ("{kind: kto}", None),
])  # fmt: skip
def test_what_a_loss_cannot_take_is_refused(objective: str, said: str | None) -> None:
    found = list(wrong_combinations(parse(f"model: {{base: x/y}}\nobjective: {objective}")))
    assert [said in what for what, _ in found] == ([True] if said else []), found


@pytest.mark.parametrize("data", ["{packing: true}", "{padding: free, packing: false}"])
def test_pairs_do_not_lie_end_to_end(data: str) -> None:
    recipe = parse(f"model: {{base: x/y}}\ndata: {data}\nobjective: {{kind: dpo}}")
    assert any("end to end" in what for what, _ in wrong_combinations(recipe))


@pytest.mark.parametrize(("settings", "said"), [
    ("train: {neftune: 5}", "other noise"), ("adapter: {dropout: 0.05}", "switches dropout off"),
    ("train: {activation_offload: true}", None),
])  # fmt: skip
def test_noise_is_refused_where_answers_are_compared(settings: str, said: str | None) -> None:
    found = list(wrong_combinations(parse(f"model: {{base: x/y}}\nobjective: {{kind: dpo}}\n{settings}")))
    assert [said in what for what, _ in found] == ([True] if said else []), found


@pytest.mark.parametrize(("adapter", "objective", "refused"), [
    ("prompt_tuning", "dpo", False), ("prompt_tuning", "orpo", False), ("prompt_tuning", "reward", True),
    ("prefix_tuning", "reward", False), ("cpt", "dpo", True), ("p_tuning", "grpo", True),
])  # fmt: skip
def test_a_prompt_stands_before_a_row_only_where_its_places_are_told_apart(
    adapter: str, objective: str, refused: bool
) -> None:
    more = ", prompts: [a], answers: [b]" if adapter == "cpt" else ""
    text = f"model: {{base: x/y}}\nobjective: {{kind: {objective}}}\nadapter: {{kind: {adapter}{more}}}"
    found = [what for what, _ in wrong_combinations(parse(text))]
    assert any("in place of tokens" in what or "by their place" in what for what in found) == refused, found
