"""Rows become training sequences: split, weighted, cut, packed, and nothing is lost without being counted."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data import Given, Prepared, prepare
from ftui.data.masking import Tokens
from ftui.data.packing import pack
from ftui.data.token_rows import UNTRAINED, TokenRows, TokenStore
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput


def recipe(*sources: Any, loss_on: str = "assistant", **data: Any) -> Any:
    """As much of a recipe as `prepare` reads."""
    settings = {
        "prepare": (), "template": "auto", "validation": 0.0, "max_length": 200, "packing": False, "balance": 0.0,
        "curriculum": None, "hold_out": "random", **data,
    }
    given = tuple(Given(source) if isinstance(source, str) else source for source in sources)
    return SimpleNamespace(
        data=SimpleNamespace(sources=given, **settings), objective=SimpleNamespace(kind="sft", loss_on=loss_on)
    )


def rows(count: int, *, start: int = 0) -> list[dict[str, str]]:
    return [{"prompt": f"question {i}", "completion": f"answer {i}"} for i in range(start, start + count)]


def questions(prepared: Prepared, part: TokenRows) -> list[str]:
    """What is asked in each row, read back from its tokens."""
    texts = [prepared.tokenizer.decode(row["input_ids"]) for row in part]
    return [text.partition("user\n")[2].partition("<|im_end|>")[0] for text in texts]


def test_a_row_holds_ids_and_labels_and_its_length(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    prepared = prepare(recipe(jsonl(*rows(1))), bpe, seed=1)
    row = prepared.train[0]
    assert bpe.decode(row["input_ids"]) == (
        "<|im_start|>user\nquestion 0<|im_end|>\n<|im_start|>assistant\nanswer 0<|im_end|>\n"
    )
    assert bpe.decode([label for label in row["labels"] if label != UNTRAINED]) == "answer 0<|im_end|>"
    assert row["seq_lengths"] == [len(row["input_ids"])] == [len(row["labels"])]
    assert (prepared.tokens, prepared.train_rows, len(prepared.validation)) == (len(row["input_ids"]), 1, 0)
    assert prepared.trained_tokens == sum(label != UNTRAINED for label in row["labels"])
    assert prepared.template.name == "chatml"
    assert prepared.stop_ids == (bpe.eos_id, bpe.id_of("<|im_end|>"))


def test_a_model_folder_serves_as_well_as_a_tokenizer(jsonl: Callable[..., str], bpe_folder: Path) -> None:
    assert len(prepare(recipe(jsonl(*rows(2))), bpe_folder, seed=1).train) == 2


@pytest.mark.parametrize(("validation", "held_out"), [(0.05, 5), (0.5, 50), (7, 7), ("7", 7), ("0.05", 5), (0, 0)])
def test_the_held_out_part_has_the_size_asked_for_and_shares_no_row(
    jsonl: Callable[..., str], bpe: Tokenizer, validation: Any, held_out: int
) -> None:
    prepared = prepare(recipe(jsonl(*rows(100)), validation=validation), bpe, seed=1)
    train, kept = questions(prepared, prepared.train), questions(prepared, prepared.validation)
    assert (len(train), len(kept)) == (100 - held_out, held_out)
    assert sorted(train + kept) == sorted(f"question {i}" for i in range(100))


def test_the_split_follows_from_the_seed_alone(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    path, turned = jsonl(*rows(50)), jsonl(*reversed(rows(50)), name="turned.jsonl")

    def kept(path: str, seed: int) -> set[str]:
        prepared = prepare(recipe(path, validation=10), bpe, seed=seed)
        return set(questions(prepared, prepared.validation))

    assert kept(path, 1) == kept(path, 1) == kept(turned, 1)
    assert kept(path, 1) != kept(path, 2)


def test_copies_of_a_row_never_stand_on_both_sides(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    prepared = prepare(recipe(jsonl(*rows(10) * 5), validation=0.3), bpe, seed=3)
    assert not set(questions(prepared, prepared.train)) & set(questions(prepared, prepared.validation))
    only_copies = prepare(recipe(jsonl(*rows(1) * 5), validation=0.3), bpe, seed=3)
    assert (len(only_copies.train), len(only_copies.validation)) == (5, 0)


def test_a_validation_file_of_its_own_is_held_out_whole(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    aside = jsonl(*rows(4, start=100), name="valid.jsonl")
    prepared = prepare(recipe(jsonl(*rows(10)), validation=aside), bpe, seed=1)
    assert (len(prepared.train), len(prepared.validation)) == (10, 4)
    assert {sample.messages[0]["content"] for sample in prepared.samples} == {f"question {i}" for i in range(100, 104)}


def test_samples_are_held_out_prompts_without_their_last_answer(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    prepared = prepare(recipe(jsonl(*rows(60)), validation=20), bpe, seed=1)
    held_out = questions(prepared, prepared.validation)
    assert len(prepared.samples) == 8
    for sample in prepared.samples:
        assert sample.messages[-1]["content"] in held_out
        assert sample.prompt.endswith("<|im_start|>assistant\n")
        assert sample.answer == sample.messages[-1]["content"].replace("question", "answer")


def test_long_conversations_are_cut_and_those_without_an_answer_left_are_dropped(
    jsonl: Callable[..., str], bpe: Tokenizer
) -> None:
    data = [*rows(2), {"prompt": "short", "completion": "long " * 100}, {"prompt": "long " * 100, "completion": "x"}]
    prepared = prepare(recipe(jsonl(*data), max_length=60), bpe, seed=1)
    assert prepared.train.lengths()[2] == 60
    assert prepared.longest == 2
    assert (prepared.train_rows, prepared.truncated) == (3, 1)
    assert prepared.dropped == {"answer cut off": 1}
    assert "starts after 60 tokens" in prepared.bad[0].reason
    with pytest.raises(BadInput, match=r"data\.max_length above 60"):
        prepare(recipe(jsonl(data[-1]), max_length=60), bpe, seed=1)


def test_long_texts_are_trained_in_pieces_without_losing_a_token(
    jsonl: Callable[..., str], with_bos: Tokenizer
) -> None:
    text = " ".join(f"word{i}" for i in range(100))
    prepared = prepare(recipe(jsonl({"text": text}), max_length=32), with_bos, seed=1)
    ids = [index for row in prepared.train for index in row["input_ids"]]
    assert ids == [with_bos.bos_id, *with_bos.encode(text), with_bos.eos_id]
    assert max(prepared.train.lengths()) == 32
    assert (prepared.split_texts, prepared.train_rows) == (1, 1)


def test_bad_and_empty_rows_are_left_out_and_counted(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    prepared = prepare(recipe(jsonl(*rows(3), "{", {"prompt": "q", "completion": " "})), bpe, seed=1)
    assert prepared.dropped == {"unreadable": 1, "empty": 1}
    assert [bad.line for bad in prepared.bad] == [4, 5]


def test_rows_that_the_template_refuses_are_left_out_and_counted(
    jsonl: Callable[..., str], bpe: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "own.jinja"
    path.write_text("{{ raise_exception('no ones') if '1' in messages[0].content }}{% for m in messages %}"
                    "<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")  # fmt: skip
    prepared = prepare(recipe(jsonl(*rows(4)), template=str(path)), bpe, seed=1)
    assert (prepared.train_rows, prepared.dropped) == (3, {"refused by the template": 1})
    path.write_text("{{ raise_exception('never') }}")
    with pytest.raises(BadInput, match="never"):
        prepare(recipe(jsonl(*rows(4)), template=str(path)), bpe, seed=1)


def test_sources_are_weighted_and_limited(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    many, few = jsonl(*rows(40)), jsonl(*rows(10, start=100), name="few.jsonl")
    weighted = prepare(recipe(Given(many, weight=0.5), Given(few, weight=2.5)), bpe, seed=1)
    times = Counter(questions(weighted, weighted.train))
    assert sum(count for name, count in times.items() if int(name.split()[1]) < 100) == 20
    assert sorted(count for name, count in times.items() if int(name.split()[1]) >= 100) == [2] * 5 + [3] * 5
    limited = prepare(recipe(Given(many, limit=3), few), bpe, seed=1)
    assert limited.train_rows == 13


def test_packing_keeps_rows_whole_apart_and_within_the_length(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    path = jsonl(*rows(40))
    loose = prepare(recipe(path, validation=0.1), bpe, seed=1)
    packed = prepare(recipe(path, validation=0.1, packing=True), bpe, seed=1)
    assert packed.packed
    assert len(packed.train) < len(loose.train)
    assert (packed.tokens, packed.trained_tokens) == (loose.tokens, loose.trained_tokens)
    assert len(packed.validation) == len(loose.validation)
    pieces = []
    for row in packed.train:
        assert len(row["input_ids"]) == sum(row["seq_lengths"]) <= 200
        start = 0
        for length in row["seq_lengths"]:
            pieces.append((row["input_ids"][start : start + length], row["labels"][start : start + length]))
            assert row["labels"][start] == UNTRAINED
            start += length
    assert sorted(pieces) == sorted((row["input_ids"], row["labels"]) for row in loose.train)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 64), max_size=60))
def test_every_row_is_packed_exactly_once_and_no_two_groups_would_fit_together(lengths: list[int]) -> None:
    groups = pack(lengths, 64)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    filled = sorted(sum(lengths[index] for index in group) for group in groups)
    assert all(size <= 64 for size in filled)
    assert len(filled) < 2 or filled[0] + filled[1] > 64


def test_a_row_longer_than_the_sequence_is_no_packing_problem_but_a_defect() -> None:
    with pytest.raises(ValueError, match="65 tokens"):
        pack([65], 64)


def test_a_million_tokens_take_five_bytes_each() -> None:
    store = TokenStore()
    for _ in range(100):
        store.append(Tokens(array("i", range(10_000)), bytearray(10_000)))
    assert store.ids.itemsize * len(store.ids) + len(store.trained) == 5_000_000
    rows = TokenRows(store, [[index] for index in range(100)])
    assert (len(rows), rows.tokens, rows.trained_tokens) == (100, 1_000_000, 0)
    assert rows[-1]["input_ids"][:3] == [0, 1, 2]
    assert len(rows[:3]) == 3
    with pytest.raises(IndexError):
        rows[100]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"validation": 40}, BadInput, "only 40"),
        ({"validation": -1}, BadInput, "a share below 1"),
        ({"validation": float("nan")}, BadInput, "a share below 1"),
        ({"validation": 1.5}, BadInput, "a share below 1"),
        ({"validation": "nowhere.jsonl"}, BadInput, "There is no file nowhere.jsonl"),
        ({"template": "nothing"}, BadInput, "There is no chat template"),
        ({"prepare": ({"drop": "empty"},)}, BadInput, "drop, which is no repair"),
    ],
)
def test_wrong_settings_are_refused(
    jsonl: Callable[..., str], bpe: Tokenizer, change: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        prepare(recipe(jsonl(*rows(40)), **change), bpe, seed=1)


def test_no_data_and_data_of_another_kind_are_refused(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    with pytest.raises(BadInput, match="names no data"):
        prepare(recipe(), bpe, seed=1)
    with pytest.raises(BadInput, match="holds preference rows"):
        prepare(recipe(jsonl({"prompt": "q", "chosen": "a", "rejected": "b"})), bpe, seed=1)


def test_a_real_recipe_and_real_data_are_prepared_whole(shared_data: Path, bpe: Tokenizer) -> None:
    from ftui.recipe.document import Data, DataSource, Recipe

    sources = (
        DataSource(path=str(shared_data / "llamafactory/alpaca_en_demo.json"), limit=300),
        DataSource(path=str(shared_data / "llamafactory/glaive_toolcall_en_demo.json"), limit=50),
        DataSource(path=str(shared_data / "gsm8k/train.jsonl"), columns={"prompt": "question", "completion": "answer"},
                   limit=300),
        DataSource(path=str(shared_data / "llamafactory/wiki_demo.txt"), limit=3),
    )  # fmt: skip
    seen: list[int] = []
    prepared = prepare(
        Recipe(data=Data(sources=sources, max_length=1024, packing=True)), bpe, seed=17,
        on_progress=lambda done, total: seen.append(done),
    )  # fmt: skip
    assert prepared.train_rows + prepared.validation_rows + sum(prepared.dropped.values()) == 653
    assert max(prepared.train.lengths()) <= 1024
    assert prepared.trained_tokens > 0
    assert seen == sorted(seen)
    for row in prepared.train:
        assert any(label != UNTRAINED for label in row["labels"])
