"""Adapters beside what they can't stand with are refused before anything loads, with the reason."""

from __future__ import annotations

import pytest

from ftui.recipe import parse
from ftui.recipe.check import BadRecipe
from ftui.recipe.trainable import planned_only


@pytest.mark.parametrize(("text", "said", "write"), [
    ("adapter: {kind: prefix_tuning}\ndata: {packing: true}", "packed rows would see each other", "packing: false"),
    ("adapter: {kind: p_tuning}\ndata: {padding: free}", "rows laid end to end would see each other", "longest"),
    ("adapter: {kind: cartridge}\ntrain: {checkpointing: true}", "drops the cache", "checkpointing: false"),
    ("adapter: {kind: adalora, rank: 4, target_rank: 6}", "target_rank 6 is more than the first rank, 4", "larger"),
    ("adapter: {kind: poly, tasks: 3}", "no source says which task", "tasks: 1"),
    ("adapter: {kind: cartridge, virtual_tokens: 4, frozen_tokens: 4}", "none trains", "frozen_tokens"),
    ("adapter: {kind: cpt, prompts: [What is it?]}", "1 prompts and 0 answers", "as many"),
    ("adapter: {kind: xlora, adapters: [one]}", "adapter.adapters names 1", "two or more"),
    ("adapter: {kind: trainable_tokens}\ntrain: {loss: tiled}", "reads the head past the tokens", "chunked"),
])
def test_an_adapter_that_would_go_wrong_is_refused(text: str, said: str, write: str) -> None:
    found = planned_only(parse(text))
    assert found is not None
    assert said in found[0]
    assert write in found[1]


@pytest.mark.parametrize(("text", "said"), [
    ("adapter: {kind: hra}\nmodel: {quantization: int8}", "HRA does not work on a base in int8: peft would multiply"),
    ("adapter: {kind: c3a}\nmodel: {quantization: int8}", "would be wrong, without a word; write quantization: nf4 or"),
    ("adapter: {kind: deft}\nmodel: {quantization: int8}", "another model, without a word; write quantization: none"),
    ("adapter: {kind: peanut}\nmodel: {quantization: fp4}", "PEANuT does not work on a base in fp4: its network"),
    ("adapter: {kind: unilora}\nmodel: {quantization: nf4}", "become zero, and nothing trains"),
])
def test_an_adapter_on_a_base_that_it_would_misread_is_no_recipe(text: str, said: str) -> None:
    with pytest.raises(BadRecipe, match=said):
        parse(text)


@pytest.mark.parametrize("text", [
    "adapter: {kind: c3a}\nmodel: {quantization: nf4}", "adapter: {kind: loha}\nmodel: {quantization: int8}",
    "adapter: {kind: adaption_prompt}\nmodel: {quantization: nf4}", "adapter: {kind: poly}\ndata: {packing: true}",
    "adapter: {kind: adalora, rank: 6, target_rank: 6}", "adapter: {kind: prompt_tuning}\ntrain: {checkpointing: true}",
    "adapter: {kind: cpt, prompts: [What is it?], answers: [A bird.]}",
])
def test_what_works_is_not_refused(text: str) -> None:
    assert planned_only(parse(text)) is None
