"""Preference data made by a person: every shape of two answers, verdicts that outlive a kill, pairs that load as they
are, and the agreement of two raters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.data import load
from ftui.data.agreement import VERDICTS, agreement, kappa
from ftui.data.answers import _items, read_answers
from ftui.data.canonical import Row, RowError
from ftui.data.given import Given
from ftui.data.rating import Choice, _parsed, journal_of, open_rating, read_ratings, say
from ftui.errors import BadInput, Refused

USER, MODEL = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "answer_a": "So.", "answer_b": "No."},
        {"question": "Why?", "response_1": "So.", "response_2": "No."},
        {"prompt": "Why?", "answers": ["So.", "No."]},
        {"prompt": "Why?", "completions": [{"text": "So.", "model": "x"}, {"text": "No.", "model": "y"}]},
        {"instruction": "Why?", "input": "", "outputs": ["So.", "No."]},
        {"prompt": [USER], "chosen": [MODEL], "rejected": [{**MODEL, "content": "No."}]},
        {"chosen": [USER, MODEL], "rejected": [USER, {**MODEL, "content": "No."}]},
        {"messages": [USER], "response_0": "So.", "response_1": "No."},
        {"conversations": [{"from": "human", "value": "Why?"}], "chosen": {"from": "gpt", "value": "So."},
         "rejected": {"from": "gpt", "value": "No."}},
        {"prompt": "Why?", "tuned": "So.", "base": "No."},
    ],
    ids=lambda row: "-".join(row),
)  # fmt: skip
def test_two_answers_are_found_in_every_usual_shape(row: dict[str, Any], jsonl: Callable[..., str]) -> None:
    # A repeated row is one comparison.
    (item,) = read_answers(jsonl(row, row)).items
    assert say(item.prompt) == "Why?"
    assert tuple(map(say, item.answers)) == ("So.", "No.")


def test_more_answers_give_each_pair_and_equal_ones_none(jsonl: Callable[..., str]) -> None:
    found = read_answers(jsonl({"prompt": "q", "answers": ["a", "b", "c"]}, {"prompt": "q", "answers": ["a", "a"]}))
    assert [tuple(map(say, item.answers)) for item in found.items] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found.left_out == 1


def test_a_file_without_answers_is_refused_in_a_sentence(jsonl: Callable[..., str]) -> None:
    with pytest.raises(BadInput, match="holds no two answers to one question") as refused:
        read_answers(jsonl({"prompt": "q", "completion": "a"}))
    assert "line 1" in (refused.value.hint or "")


@pytest.fixture
def answers(jsonl: Callable[..., str]) -> str:
    """Twenty questions; the file's first answer is always the better one, and says so."""
    return jsonl(*({"prompt": f"q{n}", "answers": [f"good {n}", f"bad {n}"]} for n in range(20)), name="answers.jsonl")


def better(left: str, right: str) -> Choice:
    return "1" if left.startswith("good") else "2"


def test_a_rater_is_blind_and_the_pairs_train_as_they_are(answers: str, tmp_path: Path) -> None:
    sides = Counter[str]()
    with open_rating(answers, pairs=tmp_path / "pairs.jsonl", rater="ann", seed=3) as rating:
        while shown := rating.shown:
            sides[better(*shown)] += 1
            rating.choose(better(*shown))
    assert sides["1"] in range(4, 17), "neither side is always the better one"
    loaded = load(Given(str(tmp_path / "pairs.jsonl")))
    assert (loaded.format.format, loaded.kind) == ("preference", "preference")
    rows = list(loaded.rows())
    assert len(rows) == 20
    for number, row in enumerate(rows):
        assert isinstance(row, Row)
        assert (say(row.value["prompt"]), say(row.value["chosen"]), say(row.value["rejected"])) == (
            f"q{number}", f"good {number}", f"bad {number}",
        )  # fmt: skip


def test_ties_and_skips_make_no_pairs_and_an_undo_takes_a_verdict_back(answers: str, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    with open_rating(answers, pairs=pairs, rater="ann") as rating:
        for choice in ("tie", "skip", "1", "2"):
            rating.choose(choice)  # type: ignore[arg-type]
        assert len(pairs.read_text().splitlines()) == 2
        assert rating.undo() == "2"
        assert rating.current is not None
        assert say(rating.current.prompt) == "q3"
        assert len(pairs.read_text().splitlines()) == 1
        assert [rating.undo(), rating.undo(), rating.undo(), rating.undo()] == ["1", "skip", "tie", None]
    assert pairs.read_text() == ""


def test_a_rating_goes_on_where_it_was_left_and_what_was_skipped_comes_last(answers: str, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    with open_rating(answers, pairs=pairs, rater="ann", seed=5) as rating:
        rating.choose("skip")
        rating.choose("1")
        left = rating.shown
    with open_rating(answers, pairs=pairs, rater="ann", seed=99) as rating:
        assert rating.shown == left, "the sides are those of the journal's own seed"
        assert rating.may_undo
        while rating.current and say(rating.current.prompt) != "q0":
            rating.choose("tie")
        assert rating.counts["tie"] == 18
        rating.choose("1")
        assert rating.current is None
    assert len(pairs.read_text().splitlines()) == 2


def test_two_terminals_do_not_write_the_same_ratings(answers: str, tmp_path: Path) -> None:
    with open_rating(answers, pairs=tmp_path / "p.jsonl", rater="ann"):
        with pytest.raises(Refused, match="another terminal"):
            open_rating(answers, pairs=tmp_path / "p.jsonl", rater="ann")
        open_rating(answers, pairs=tmp_path / "q.jsonl", rater="ann").close()


def test_a_file_that_is_no_product_of_ratings_is_not_written_over(answers: str) -> None:
    before = Path(answers).read_bytes()
    with pytest.raises(Refused, match="exists"):
        open_rating(answers, pairs=answers, rater="ann")
    assert Path(answers).read_bytes() == before


KILLED = """
import sys
from ftui.data.rating import open_rating
rating = open_rating(sys.argv[1], pairs=sys.argv[2], rater="ann")
while rating.current:
    rating.choose("1")
    print(len(rating.ratings.verdicts), flush=True)
"""


def test_a_kill_loses_no_verdict_that_was_given(jsonl: Callable[..., str], tmp_path: Path) -> None:
    answers = jsonl(*({"prompt": f"q{n}", "answers": [f"a {n}", f"b {n}"]} for n in range(5000)))
    pairs = tmp_path / "pairs.jsonl"
    child = subprocess.Popen([sys.executable, "-c", KILLED, answers, str(pairs)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = 0
    while said < 50:
        said = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with open_rating(answers, pairs=pairs, rater="ann") as rating:
        given = sum(rating.counts.values())
        assert given >= said
        assert len(pairs.read_text().splitlines()) == given


@pytest.mark.parametrize("torn", [b'{"item": "12', b"\xff\x00", b'{"undo"'])
def test_a_torn_last_line_is_cut_off(answers: str, tmp_path: Path, torn: bytes) -> None:
    pairs = tmp_path / "pairs.jsonl"
    with open_rating(answers, pairs=pairs, rater="ann") as rating:
        rating.choose("tie")
    with journal_of(pairs).open("ab") as file:
        file.write(torn)
    with open_rating(answers, pairs=pairs, rater="ann") as rating:
        assert rating.counts == {"tie": 1}
        rating.choose("skip")
    assert list(read_ratings(journal_of(pairs)).verdicts.values()) == ["tie", "skip"]


NAMES = (
    "prompt", "messages", "instruction", "input", "system", "answers", "answer_a", "answer_b", "chosen", "rejected",
    "role", "content", "from", "value", "text",
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["user", "gpt", "[1]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
LINES = st.binary(max_size=30) | st.sampled_from([b'{"item": 1}', b"[]", b"7", b'{"undo": []}', b'{"verdict": {}}'])


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_any_row_is_two_answers_or_says_why_not(row: dict[str, Any]) -> None:
    try:
        items = _items(1, row)
    except RowError:
        return
    for item in items:
        assert item.answers[0] != item.answers[1]
        assert all(isinstance(say(turns), str) for turns in (item.prompt, *item.answers))
        json.dumps([item.prompt, *item.answers])


@given(st.lists(LINES))
def test_a_journal_of_any_lines_says_what_it_can_or_that_it_is_none(lines: list[bytes]) -> None:
    head = b'{"kind": "ftui-ratings", "rater": "ann", "seed": 1, "file": "a"}'
    assert _parsed([head, *lines], Path("x")).verdicts == {}
    with pytest.raises(BadInput):
        _parsed(lines, Path("x"))


def test_kappa_is_cohens() -> None:
    # Cohen's own way on a table of two raters: 0.7 observed, 0.5 by chance.
    both = {("first", "first"): 20, ("first", "second"): 5, ("second", "first"): 10, ("second", "second"): 15}
    assert kappa(both) == pytest.approx(0.4)  # type: ignore[arg-type]
    assert kappa({("tie", "tie"): 9}) is None


@given(st.dictionaries(st.tuples(st.sampled_from(VERDICTS), st.sampled_from(VERDICTS)), st.integers(1, 50), min_size=1))
def test_kappa_is_at_most_one_and_the_same_from_both_sides(counted: dict[Any, int]) -> None:
    one, other = kappa(counted), kappa({(yours, mine): number for (mine, yours), number in counted.items()})
    assert (one is None) == (other is None)
    if one is not None:
        assert one == pytest.approx(other)
        assert one <= 1


def test_two_raters_agree_as_far_as_they_do_whatever_side_each_saw(answers: str, tmp_path: Path) -> None:
    paths = []
    for seed, (rater, wrong) in enumerate((("ann", 0), ("bob", 5))):
        pairs = tmp_path / f"{rater}.jsonl"
        with open_rating(answers, pairs=pairs, rater=rater, seed=seed) as rating:
            for number in range(18):
                assert rating.shown is not None
                choice = better(*rating.shown)
                rating.choose(choice if number >= wrong else "tie" if number < 3 else "1" if choice == "2" else "2")
            rating.choose("skip")
        paths.append(journal_of(pairs))
    found = agreement(*paths)
    assert (found.raters, found.items, found.same) == (("ann", "bob"), 18, 13)
    assert found.table["first"] == {"first": 13, "second": 2, "tie": 3}
    assert found.strength == "none beyond chance"
    with pytest.raises(BadInput, match=r"is no file of ratings"):
        agreement(paths[0], Path(answers))
