"""Near copies: the index finds what the words' own sets call one, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data import Given, load, near
from ftui.data.canonical import Row, words_of
from ftui.data.near import NearIndex, runs_of, signature, similarity

WORDS = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij", "kl", "mn"]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(WORDS, WORDS)
def test_what_is_found_is_near_by_the_sets_themselves(one: list[str], other: list[str]) -> None:
    first, second = runs_of(" ".join(one)), runs_of(" ".join(other))
    index = NearIndex(0.8)
    index.add(first)
    found = index.find(second)
    assert found is None or similarity(first, second) >= 0.8
    if first == second and first:
        assert found == 0


@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_case_and_punctuation_change_nothing(words: list[str]) -> None:
    assert runs_of(" ".join(words)) == runs_of(", ".join(word.upper() for word in words) + "!")
    assert len(runs_of(" ".join(words))) <= max(1, len(words) - 4)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=80))
def test_plain_letters_are_the_same_words_beside_others(text: str) -> None:
    words = near._word.findall(text.lower())
    assert runs_of(text) == runs_of(" ".join(words))
    if len(words) >= 5:
        assert runs_of(text) < runs_of(f"{text} Öl")


def test_an_empty_text_is_near_to_nothing() -> None:
    index = NearIndex()
    assert [index.find_or_add(runs_of(text)) for text in ("", "...", "a", "A!")] == [None, None, None, 2]


def test_bins_of_two_signatures_agree_as_often_as_the_sets_do() -> None:
    random_runs = random.Random(5)
    for size in (10, 300):
        agreements = []
        for _ in range(200):
            shared = {random_runs.getrandbits(32) for _ in range(size)}
            own = [{random_runs.getrandbits(32) for _ in range(size // 4)} for _ in range(2)]
            one, other = (signature(shared | extra) for extra in own)
            agreements.append(sum(a == b for a, b in zip(one, other, strict=True)) / len(one))
        assert sum(agreements) / 200 == pytest.approx(size / (size + 2 * (size // 4)), abs=0.02)


def test_the_index_outgrows_its_first_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_FIRST_ROWS", 64)
    index = NearIndex()
    texts = [f"number {i} has the {i * 7} and {i * 13} in it for {i * 31} times" for i in range(500)]
    for text in texts:
        index.add(runs_of(text))
    assert [index.find(runs_of(texts[place])) for place in (0, 250, 499)] == [0, 250, 499]


def test_of_real_rows_with_words_changed_down_to_an_index_of_80_percent_99_in_100_are_found(shared_data: Path) -> None:
    rows = [
        words_of(row)
        for name in ("llamafactory/alpaca_en_demo.json", "gsm8k/train.jsonl")
        for row in load(Given(str(shared_data / name), limit=400)).rows() if isinstance(row, Row)
    ]  # fmt: skip
    index = NearIndex(0.8)
    kept = [row for row in rows if index.find_or_add(runs_of(row)) is None]
    chooser = random.Random(11)
    planted = found = 0
    for number, row in enumerate(kept):
        changed = spoilt(row, chooser)
        if changed is not None:
            planted += 1
            found += index.find(runs_of(changed)) is not None
        if number % 4 == 0:
            # Half of the words are others: as far from the row as any text of the same kind.
            words = [word if chooser.random() < 0.5 else f"other{chooser.randrange(10**6)}" for word in row.split()]
            assert len(words) < 5 or index.find(runs_of(" ".join(words))) is None
    assert planted > 600
    assert found / planted >= 0.99


def spoilt(text: str, chooser: random.Random) -> str | None:
    """The text with as many words changed as leave an index of 0.8 or hardly more; None where one is too many."""
    words, runs, last = text.split(), runs_of(text), None
    for place in chooser.sample(range(len(words)), len(words)):
        words[place] = f"changed{chooser.randrange(10**6)}"
        if similarity(runs, runs_of(" ".join(words))) < 0.8:
            return last
        last = " ".join(words)
    return last
