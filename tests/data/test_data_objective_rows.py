"""The forms of prepared rows that objectives other than supervised fine-tuning train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftui.data import Given, Tokenizer, prepare
from ftui.data.forms import KINDS
from ftui.documents import RowForm
from ftui.errors import BadInput
from ftui.methods import OBJECTIVES

PAIR = {"prompt": "What is red?", "chosen": "A colour of roses.", "rejected": "No idea."}


def recipe(*sources: Path | Given, **settings: Any) -> Any:
    given = [source if isinstance(source, Given) else Given(str(source)) for source in sources]
    data = {
        "sources": given, "prepare": (), "template": "auto", "validation": 0, "max_length": 512, "packing": False,
        "balance": 0.0, "curriculum": None, "hold_out": "random",
    }
    return SimpleNamespace(data=SimpleNamespace(**data | settings), objective=SimpleNamespace(kind="dpo"))


def test_every_objective_names_the_kinds_of_rows_that_its_form_is_made_of() -> None:
    assert {kind: set(row.data) for kind, row in OBJECTIVES.items()} == {
        kind: set(KINDS[row.form]) for kind, row in OBJECTIVES.items()
    }


def test_a_pair_has_one_prompt_and_the_masks_of_both_answers(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    prepared = prepare(recipe(jsonl(PAIR)), bpe, seed=1, form="pair")
    row = prepared.train[0]
    decode = bpe.backend.decode
    assert "What is red?" in decode(row["prompt_ids"])
    for side in ("chosen", "rejected"):
        own = [token for token, mine in zip(row[f"{side}_ids"], row[f"{side}_mask"], strict=True) if mine]
        assert PAIR[side] in decode(own), "the answer is what is scored"
        assert "What" not in decode(row[f"{side}_ids"]), "the prompt is not in it"
    assert prepared.samples[0].messages[-1]["content"] == "What is red?"


def test_a_margin_comes_with_its_pair(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    other = {**PAIR, "prompt": "What is blue?"}
    rows = prepare(recipe(jsonl({**PAIR, "margin": 1.5}, {**other, "margin": None})), bpe, seed=1, form="pair").train
    assert sorted(row["margin"] for row in rows) == [0.0, 1.5], "a missing one asks for no distance"
    assert "margin" not in prepare(recipe(jsonl(PAIR)), bpe, seed=1, form="pair").train[0]
    path = jsonl({**PAIR, "margin": 1}, {**other, "margin": "much"})
    wrong = prepare(recipe(Given(str(path), format="preference")), bpe, seed=1, form="pair")
    assert (wrong.train_rows, sum(wrong.dropped.values())) == (1, 1)


def test_a_pair_is_as_long_as_its_longer_side_twice(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    rows = prepare(recipe(jsonl(PAIR)), bpe, seed=1, form="pair").train
    sides = [len(rows[0]["prompt_ids"] + rows[0][f"{side}_ids"]) for side in ("chosen", "rejected")]
    assert rows.lengths() == [2 * max(sides)]


def test_the_turns_between_an_answers_turns_are_not_scored(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    turns = [{"role": "assistant", "content": "first"}, {"role": "user", "content": "between"},
             {"role": "assistant", "content": "second"}]  # fmt: skip
    row = prepare(recipe(jsonl({**PAIR, "chosen": turns})), bpe, seed=1, form="pair").train[0]
    own = bpe.backend.decode([t for t, mine in zip(row["chosen_ids"], row["chosen_mask"], strict=True) if mine])
    assert "first" in own
    assert "second" in own
    assert "between" not in own
    assert "between" in bpe.backend.decode(row["chosen_ids"])


def test_a_preference_makes_two_labelled_rows(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    rows = prepare(recipe(jsonl(PAIR)), bpe, seed=1, form="labelled").train
    assert [row["label"] for row in rows] == [True, False]
    assert rows[0]["prompt_ids"] == rows[1]["prompt_ids"]
    single = prepare(recipe(jsonl({"prompt": "q", "completion": "a", "label": False})), bpe, seed=1, form="labelled")
    assert [row["label"] for row in single.train] == [False]


def test_a_prompt_keeps_the_columns_that_a_reward_looks_at(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    path = jsonl({"prompt": "2 + 2?", "answer": "4", "level": 1})
    row = prepare(recipe(Given(str(path), format="prompt")), bpe, seed=1, form="prompt").train[0]
    assert row["answer"] == "4"
    assert row["level"] == 1
    assert row["prompt"] == [{"role": "user", "content": "2 + 2?"}]
    prompt = bpe.backend.decode(row["prompt_ids"])
    assert "2 + 2?" in prompt
    assert "4" not in prompt.replace("2 + 2?", "")


def test_of_a_conversation_the_last_answer_is_what_a_reward_compares_with(
    jsonl: Callable[..., Path], bpe: Tokenizer
) -> None:
    row = prepare(recipe(jsonl({"question": "Why?", "answer": "So #### 4"})), bpe, seed=1, form="prompt").train[0]
    assert row["answer"] == "So #### 4"
    assert row["prompt"] == [{"role": "user", "content": "Why?"}]


def test_a_prompt_that_is_too_long_is_left_out_not_cut(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    path = jsonl({"prompt": "short", "x": 1}, {"prompt": "long " * 200, "x": 2})
    prepared = prepare(recipe(Given(str(path), format="prompt"), max_length=64), bpe, seed=1, form="prompt")
    assert [row["x"] for row in prepared.train] == [1]
    assert prepared.dropped == {"prompt too long": 1}


def test_labels_are_numbered_by_name_and_held_out_in_their_shares(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    rows = [{"text": f"row {number}", "label": "rare" if number % 10 == 0 else "common"} for number in range(100)]
    prepared = prepare(recipe(jsonl(*rows), validation=0.2), bpe, seed=1, form="class")
    assert prepared.labels == ("common", "rare")
    assert Counter(row["label"] for row in prepared.validation) == {0: 18, 1: 2}
    assert Counter(row["label"] for row in prepared.train) == {0: 72, 1: 8}
    assert not prepared.multi_label


def test_rows_with_lists_of_labels_have_a_number_for_each(jsonl: Callable[..., Path], bpe: Tokenizer) -> None:
    prepared = prepare(
        recipe(jsonl({"text": "a", "labels": ["x", "z"]}, {"text": "b", "labels": []}, {"text": "c", "labels": ["y"]})),
        bpe, seed=1, form="class",
    )
    assert prepared.multi_label
    assert prepared.labels == ("x", "y", "z")
    assert [row["label"] for row in prepared.train] == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(("form", "row"), [
    ("pair", {"text": "only text"}), ("class", PAIR), ("sequence", PAIR), ("prompt", {"text": "only text"}),
])  # fmt: skip
def test_rows_of_another_kind_are_refused_with_a_way_out(
    form: RowForm, row: dict[str, str], jsonl: Callable[..., Path], bpe: Tokenizer
) -> None:
    with pytest.raises(BadInput) as caught:
        prepare(recipe(jsonl(row)), bpe, seed=1, form=form)
    assert "format:" in caught.value.hint


def test_an_answered_prompt_holds_the_last_answer_and_a_lone_prompt_none(
    jsonl: Callable[..., Path], bpe: Tokenizer
) -> None:
    turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."},
             {"role": "user", "content": "What is red?"}, {"role": "assistant", "content": "A colour."}]  # fmt: skip
    row = prepare(recipe(jsonl({"messages": turns})), bpe, seed=1, form="answered").train[0]
    decode = bpe.backend.decode
    assert "Hello." in decode(row["prompt_ids"])
    assert decode(row["completion_ids"]).startswith("A colour.")
    assert set(row["completion_mask"]) == {1}
    assert "A colour of roses." in decode(
        prepare(recipe(jsonl(PAIR)), bpe, seed=1, form="answered").train[0]["completion_ids"]
    )
    asked = Given(str(jsonl({"prompt": "What is red?"})), format="prompt")
    alone = prepare(recipe(asked), bpe, seed=1, form="answered")
    rows: Any = alone.train
    assert (rows[0]["completion_ids"], rows[0]["completion_mask"], rows.unanswered()) == ([], [], 1)
    short = prepare(
        recipe(jsonl(PAIR, {**PAIR, "prompt": "word " * 600}), max_length=64), bpe, seed=1, form="answered"
    )
    assert short.dropped == {"prompt too long": 1}


@pytest.mark.parametrize("several", [False, True])
def test_rows_of_many_small_labels_are_held_out_all_the_same(
    several: bool, jsonl: Callable[..., Path], bpe: Tokenizer
) -> None:
    rows = [{"text": f"text {n} of {label}", "label": [label, "all"] if several else label}
            for label in map(str, range(30)) for n in range(4)]  # fmt: skip
    given = Given(str(jsonl(*rows)), format="classification")
    prepared = prepare(recipe(given, validation=0.1), bpe, seed=1, form="class")
    assert (prepared.train_rows, prepared.validation_rows) == (108, 12)
    trained: Any = prepared.train
    assert min(trained.label_counts()) == 3, "no label loses more than one of its four"
