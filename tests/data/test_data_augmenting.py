"""New rows from old ones: what is asked of a model, which of its answers are kept, and phrasings without a model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.data.augmenting import (
    OVERLAP,
    TRIES,
    Ask,
    Keeper,
    can_be_shown,
    in_the_manner,
    invent,
    plan,
    reword,
    shuffled,
)
from ftui.data.given import Given
from ftui.data.loading import load
from ftui.data.overlap import common, rouge_l, words_in
from ftui.data.phrasings import BUILT_IN, PLACE, phrased, read
from ftui.data.seeds import Seed, answered_of, prompts_of
from ftui.errors import BadInput


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


SEEDS = [Seed(n, 100 + n, [user(f"Name the capital of country number {n}.")], f"City {n}") for n in range(1, 6)]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(*rows: object) -> str:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


def longest_common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """By the table of the textbook."""
    above = [0] * (len(other) + 1)
    for left in one:
        row = [0]
        for place, right in enumerate(other):
            row.append(above[place] + 1 if left == right else max(row[-1], above[place + 1]))
        above = row
    return above[-1]


words = st.lists(st.sampled_from("abcd"), max_size=80).map(tuple)


@given(words, words)
def test_the_common_words_are_those_of_the_table(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert common(one, other) == longest_common(one, other) == common(other, one)


def test_rouge_l_is_the_f_measure_of_the_common_words() -> None:
    # Lin 2004, §3.1: of "police killed the gunman", three words stand in order in S2 and two in S3.
    reference = words_in("Police killed the gunman.")
    assert rouge_l(reference, words_in("police KILL the gunman")) == pytest.approx(0.75)
    assert rouge_l(reference, words_in("the gunman kill police")) == pytest.approx(0.5)
    assert rouge_l(reference, ()) == 0.0


def test_scripts_without_spaces_have_a_word_a_sign() -> None:
    assert words_in("介绍一下 GPT-4、谢谢。") == ("介", "绍", "一", "下", "gpt", "4", "谢", "谢")
    seed = Seed(1, 1, [user("请介绍一下北京的历史和文化")], "好")
    keeper, ask = Keeper.of("self-instruct", [seed]), Ask((seed,), 0)
    assert not keeper.add(ask, ["请介绍一下上海的历史和文化", "好"], None)
    assert keeper.add(ask, ["为什么天空是蓝色的?", "散射"], None)


def test_a_row_is_read_as_question_and_answer_whatever_its_kind(file: Callable[..., str]) -> None:
    seeds, unusable = answered_of(file(
        {"messages": [user("Hello?"), said("Hi."), user("Who?"), said("Me.")]},
        {"messages": [user("  "), said("Blank.")]},
        {"messages": [user("Why?"), said(" ")]},
    ))  # fmt: skip
    assert [(seed.line, seed.text, seed.asked, seed.answer) for seed in seeds] == [(1, "Who?", 2, "Me.")]
    assert unusable == 2
    pairs, _ = answered_of(file({"prompt": "Which?", "chosen": "This.", "rejected": "That."}))
    assert [(seed.text, seed.answer) for seed in pairs] == [("Which?", "This.")]
    labelled, _ = answered_of(file({"text": "It broke.", "label": "bad"}, {"text": "It works.", "label": "good"}))
    assert [(seed.text, seed.answer) for seed in labelled] == [("It broke.", "bad"), ("It works.", "good")]
    texts, unusable = prompts_of(file({"text": "Once upon a time"}), None)
    assert ([seed.turns for seed in texts], unusable) == ([[user("Once upon a time")]], 0)


def test_every_row_has_its_turn_before_any_comes_again() -> None:
    first = list(itertools.islice(shuffled(5, 3), 10))
    assert sorted(first[:5]) == sorted(first[5:]) == [0, 1, 2, 3, 4]
    assert first == list(itertools.islice(shuffled(5, 3), 10)) != list(itertools.islice(shuffled(5, 4), 10))
    assert list(shuffled(0, 3)) == []


def test_what_is_asked_follows_from_the_seed_alone() -> None:
    one, again, other = (plan("self-instruct", SEEDS, 4, seed, 3) for seed in (1, 1, 2))
    assert [ask.key for ask in one] == [ask.key for ask in again] != [ask.key for ask in other]
    assert len(one) == TRIES * 4
    assert all(len({seed.key for seed in ask.seeds}) == 3 for ask in one)
    assert [ask.seeds[0] for ask in plan("answers", SEEDS, 3, 1, 3)] == SEEDS
    assert {ask.seeds[0].line for ask in plan("paraphrase", SEEDS, 5, 1, 3)[:5]} == {1, 2, 3, 4, 5}


def test_the_model_is_shown_the_rows_and_nothing_is_filled_into_them() -> None:
    odd = Seed(1, 1, [{"role": "system", "content": "Be brief."}, user("What is {count}?")], "A place.")
    ask = Ask((odd, SEEDS[0]), 0)
    assert "1. What is {count}?\n\n2. Name the capital" in invent(ask)[0]["content"]
    assert reword(ask)[0]["content"].endswith("\n\nWhat is {count}?")
    assert [turn["role"] for turn in in_the_manner(ask, "New?")] == ["system", "user", "assistant", "user", "assistant",
                                                                     "user"]
    assert can_be_shown(odd)
    assert not can_be_shown(Seed(1, 1, [user("a"), said("b"), user("c")], "d"))


def test_paraphrases_that_are_blank_long_or_copies_are_left_out(file: Callable[..., str], tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "find"}}]
    seed = Seed(7, 1, [user("First?"), said("One."), user("Name the capital of France, please, in a word.")], "Paris",
                {"tools": tools})
    keeper, ask = Keeper.of("paraphrase", [seed]), Ask((seed,), 0)
    assert not keeper.add(ask, [" "], None)
    assert not keeper.add(ask, ["name the capital of France please - in a word"], None)
    assert not keeper.add(ask, ["Paris is a city. " * 12], None)
    assert not keeper.add(ask, ["Good?"], "it was cut off")
    assert keeper.add(ask, ["In a word, which city governs France?"], None)
    assert not keeper.add(ask, ["in a word: which city governs France"], None)
    assert sum(keeper.left_out.values()) == 5
    (row,) = keeper.rows
    assert [turn["content"] for turn in row["messages"]] == ["First?", "One.", "In a word, which city governs France?",
                                                             "Paris"]
    assert (row["tools"], row["origin"]) == (tools, {"how": "paraphrase", "lines": [7]})
    assert load(Given(file(row, row))).kind == "conversation"


def test_instructions_that_overlap_with_others_are_left_out() -> None:
    keeper, ask = Keeper.of("self-instruct", SEEDS), Ask(tuple(SEEDS[:2]), 0)
    assert not keeper.add(ask, ["Name the capital of country number 77.", "x"], None), f"6/7 of the words > {OVERLAP}"
    assert not keeper.add(ask, ["Sing loudly", "x"], None)
    assert not keeper.add(ask, ["word " * 151, "x"], None)
    assert not keeper.add(ask, ["Which rivers flow through that large town?", ""], None)
    assert keeper.add(ask, ["Which rivers flow through that large town?", "Two."], None)
    assert not keeper.add(ask, ["Which rivers flow through this large town?", "Two."], None)
    assert keeper.rows == [{"messages": [user("Which rivers flow through that large town?"), said("Two.")],
                            "origin": {"how": "self-instruct", "lines": [1, 2]}}]


def test_two_answers_are_what_the_rating_reads(file: Callable[..., str]) -> None:
    from ftui.data.answers import read_answers

    keeper = Keeper.of("answers", SEEDS)
    assert keeper.add(Ask((SEEDS[0],), 0), ["Rome", "Oslo"], None)
    assert not keeper.add(Ask((SEEDS[1],), 1), ["Rome", " Rome\n"], None)
    (item,) = read_answers(file(*keeper.rows)).items
    assert item.prompt == SEEDS[0].turns
    assert [answer[0]["content"] for answer in item.answers] == ["Rome", "Oslo"]


def test_phrasings_come_one_row_each_before_a_second_and_never_twice() -> None:
    rows = phrased(SEEDS, BUILT_IN, 1000, 5)
    assert len(rows) == len(SEEDS) * len(BUILT_IN)
    assert len({row["messages"][0]["content"] for row in rows}) == len(rows)
    assert {row["origin"]["lines"][0] for row in rows[:5]} == {1, 2, 3, 4, 5}
    assert phrased(SEEDS, BUILT_IN, 7, 5) == rows[:7]
    assert phrased(SEEDS, BUILT_IN, 7, 6) != rows[:7]
    for row in rows:
        seed = SEEDS[row["origin"]["lines"][0] - 1]
        assert row["messages"] == [user(row["origin"]["phrasing"].replace(PLACE, seed.text)), said(seed.answer)]
    assert phrased(SEEDS, ("{text}",), 5, 5) == [], "a row as it stands is no new one"


def test_a_file_of_phrasings_is_read_line_by_line_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "ways.txt"
    path.write_text("# mine\nPlease {text}\n\n{text}\\n\\nThanks!\nPlease {text}\n")
    assert read(str(path)) == ("Please {text}", "{text}\n\nThanks!")
    assert read(None) == BUILT_IN
    path.write_text("Please {text}\nPlease text\n")
    with pytest.raises(BadInput, match=r"line 2: the phrasing has no \{text\}"):
        read(str(path))
    path.write_text("# none\n")
    with pytest.raises(BadInput, match="has no phrasings"):
        read(str(path))
    path.write_bytes(b"Please {text} \xff\n")
    with pytest.raises(BadInput, match="line 1 is not UTF-8"):
        read(str(path))
    with pytest.raises(BadInput, match=r"none\.txt"):
        read(str(tmp_path / "none.txt"))
