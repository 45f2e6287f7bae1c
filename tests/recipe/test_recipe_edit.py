"""Setting, forgetting and comparing settings by their dotted paths."""

from __future__ import annotations

import pytest

from ftui.errors import BadInput
from ftui.recipe import (
    BadRecipe,
    Recipe,
    asked,
    assign,
    assignments,
    differences,
    forget,
    from_text,
    get,
    parse,
    walk,
)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("train.epochs", "3", 3.0),
        ("train.learning_rate", "2e-4", 2e-4),
        ("train.learning_rate", "auto", "auto"),
        ("train.max_steps", "null", None),
        ("train.max_steps", "20", 20),
        ("data.packing", "true", True),
        ("data.validation", "0.1", 0.1),
        ("data.validation", "200", 200),
        ("data.validation", "held-out.jsonl", "held-out.jsonl"),
        ("adapter.targets", "all-linear", "all-linear"),
        ("adapter.targets", "q_proj, v_proj", ("q_proj", "v_proj")),
        ("adapter.targets", "[q_proj]", ("q_proj",)),
        ("recovery.out_of_memory", "halve_batch,chunked_loss", ("halve_batch", "chunked_loss")),
        ("recovery.out_of_memory", "", ()),
        ("evaluate.prompts", "One, with a comma.\nAnother", ("One, with a comma.", "Another")),
        ("name", "123", "123"),
        ("model.revision", "1e10", "1e10"),
        ("tracking.wandb", "none", None),
        ("goal.task", " chat ", "chat"),
    ],
)
def test_a_value_can_be_set_by_its_text(path: str, text: str, value: object) -> None:
    recipe = assign(Recipe(), {path: text})
    assert get(recipe, path) == value
    assert path in asked(recipe)


def test_sources_are_set_by_paths_and_edited_by_index() -> None:
    recipe = assign(Recipe(), {"data.sources": "a.jsonl, b.csv"})
    assert [source.path for source in recipe.data.sources] == ["a.jsonl", "b.csv"]
    recipe = assign(recipe, {"data.sources.1.limit": "50", "data.sources.0.columns.prompt": "question"})
    assert recipe.data.sources[1].limit == 50
    assert recipe.data.sources[0].columns == {"prompt": "question"}
    with pytest.raises(BadRecipe):
        assign(recipe, {"data.sources.7.limit": "50"})
    with pytest.raises(BadRecipe):
        assign(Recipe(), {"data.sources.0.limit": "50"})


def test_a_path_and_its_columns_are_set_in_one_go() -> None:
    edited = assign(Recipe(), {"data.sources": ["a.json"], "data.sources.0.columns": {"prompt": "q"}})
    assert edited.data.sources[0].path == "a.json"
    assert edited.data.sources[0].columns == {"prompt": "q"}


def test_the_given_recipe_is_never_touched() -> None:
    recipe = parse("data: {sources: [{path: a.jsonl}]}\ntrain: {epochs: 2}")
    before = recipe.model_dump()
    assign(recipe, {"train.epochs": 5, "data.sources.0.path": "b.jsonl"})
    assert recipe.model_dump() == before


def test_another_adapter_starts_its_section_afresh() -> None:
    recipe = parse("adapter: {rank: 8, dropout: 0.1}\ntrain: {epochs: 2}")
    full = assign(recipe, {"adapter.kind": "none"})
    assert full.adapter.kind == "none"
    assert full.train.epochs == 2
    back = assign(full, {"adapter.kind": "lora", "adapter.alpha": "64"})
    assert (back.adapter.rank, back.adapter.alpha) == ("auto", 64)


def test_the_same_adapter_again_keeps_its_options() -> None:
    assert assign(parse("adapter: {rank: 8}"), {"adapter.kind": "lora"}).adapter.rank == 8


def test_every_problem_of_several_edits_is_reported() -> None:
    with pytest.raises(BadRecipe) as caught:
        assign(Recipe(), {"train.epochs": "0", "adapter.rank": "many"})
    assert {problem.path for problem in caught.value.problems} == {"train.epochs", "adapter.rank"}


def test_an_unknown_path_names_the_nearest() -> None:
    for path, near in (("epochs", "train.epochs"), ("lora_r", "adapter.rank"), ("train.lr", "train.learning_rate")):
        with pytest.raises(BadRecipe, match=near):
            assign(Recipe(), {path: "1"})
    with pytest.raises(BadRecipe, match=r"train\.epochs"):
        get(Recipe(), "train.epoch")


def test_what_is_asked_survives_edits_and_can_be_forgotten() -> None:
    recipe = parse("name: x\ntrain: {epochs: 2}")
    assert asked(recipe) == {"name", "train.epochs"}
    recipe = assign(recipe, {"adapter.rank": "8"})
    assert {"name", "train.epochs", "adapter.rank"} <= asked(recipe)
    recipe = forget(recipe, "train.epochs", "name")
    assert recipe.train.epochs == Recipe().train.epochs
    assert "train.epochs" not in asked(recipe)


def test_differences_are_told_in_the_order_of_the_recipe() -> None:
    before = parse("adapter: {rank: 8}")
    after = assign(before, {"train.epochs": "2", "adapter.rank": "16", "name": "other"})
    assert [(d.path, d.before, d.after) for d in differences(before, after)] == [
        ("name", "run", "other"), ("adapter.rank", 8, 16), ("train.epochs", 1.0, 2.0),
    ]
    assert differences(before, before) == ()
    lost = {d.path: d.after for d in differences(before, parse("adapter: {kind: none}"))}
    assert lost["adapter.kind"] == "none"
    assert lost["adapter.rank"] is None


def test_set_needs_an_equals_sign() -> None:
    assert assignments(["train.epochs=3", "compute.on_end=a=b"]) == {"train.epochs": "3", "compute.on_end": "a=b"}
    for wrong in ("train.epochs", "=3"):
        with pytest.raises(BadInput, match="sets nothing"):
            assignments([wrong])


def test_every_default_can_be_written_as_text_and_set_again() -> None:
    recipe = Recipe()
    for entry in walk():
        value = get(recipe, entry.path)
        if isinstance(value, tuple):
            text = entry.separator.join(str(one) for one in value)
        else:
            text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        assert get(assign(recipe, {entry.path: text}), entry.path) == value, entry.path
        from_text(entry, text)


def test_a_forgotten_kind_is_the_planners_again_and_takes_the_settings_along_that_only_it_had() -> None:
    draft = assign(Recipe(), {"objective.kind": "dpo", "objective.beta": 0.3, "adapter.kind": "vera",
                              "adapter.targets": "q_proj"})  # fmt: skip
    left = forget(draft, "objective.kind", "adapter.kind")
    # Whoever names a target still has an adapter in mind: its default kind.
    assert asked(left) == {"adapter.kind", "adapter.targets"}
    assert (left.objective.kind, left.adapter.kind) == ("sft", "lora")
