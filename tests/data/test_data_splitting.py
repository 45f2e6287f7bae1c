"""Rows are held out at random, by stratum, by group or by time: always as many as asked, never with a copy behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ftui.data import prepare
from ftui.data.canonical import RowError
from ftui.data.hold_out import HoldOut, parse
from ftui.data.pile import Pile
from ftui.data.splitting import split
from ftui.data.token_rows import TokenStore
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput
from ftui.recipe import assign
from ftui.recipe import parse as recipe_of
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import planned_only

Entry = tuple[int, str, int]
"""A row's key, the name and the number in its columns."""
entries = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from("abcdefgh"), st.integers(0, 9)), min_size=2, max_size=60
)
shares = st.one_of(st.floats(0.01, 0.9), st.integers(1, 20))
STRATIFIED, GROUP, TIME = (HoldOut(kind, "c") for kind in ("stratified", "group", "time"))  # type: ignore[arg-type]


def pile(rows: list[Entry], by: HoldOut | None) -> Pile:
    made = Pile(TokenStore(), "sequence")
    for number, (key, name, moment) in enumerate(rows):
        made.pieces.append((number, number + 1))
        made.keys.append(key * 0x9E3779B97F4A7C15 % (1 << 64))
        made.by.append(None if by is None else float(moment) if by.kind == "time" else name)
    return made


def sides(rows: list[Entry], wanted: float | int, by: HoldOut | None, seed: int = 1) -> tuple[list[Entry], list[Entry]]:
    training, held_out = split(pile(rows, by), wanted, seed, by)
    assert sorted(training + held_out) == list(range(len(rows))), "every row is on one side"
    assert training, "and some are left to train on"
    return [rows[row] for row in training], [rows[row] for row in held_out]


@settings(max_examples=200, deadline=None)
@given(rows=entries, wanted=shares, by=st.sampled_from([None, STRATIFIED, GROUP, TIME]), shuffle=st.randoms())
def test_no_copy_straddles_and_the_order_of_the_rows_changes_nothing(
    rows: list[Entry], wanted: float | int, by: HoldOut | None, shuffle: Any
) -> None:
    assume(not isinstance(wanted, int) or wanted < len(rows))
    try:
        training, held_out = sides(rows, wanted, by)
    except BadInput:
        assert by in (GROUP, TIME)
        return
    assert not {key for key, *_ in training} & {key for key, *_ in held_out}
    mixed = list(rows)
    shuffle.shuffle(mixed)
    assert Counter(sides(mixed, wanted, by)[1]) == Counter(held_out)


def joined(rows: list[Entry]) -> bool:
    """Whether copies tie all groups together."""
    reached, before = {rows[0][1]}, set[str]()
    while reached != before:
        before = set(reached)
        keys = {key for key, name, _ in rows if name in reached}
        reached |= {name for key, name, _ in rows if key in keys}
    return reached == {name for _, name, _ in rows}


@settings(max_examples=200, deadline=None)
@given(rows=entries, wanted=shares, seed=st.integers(0, 50))
def test_a_group_is_never_on_both_sides(rows: list[Entry], wanted: float | int, seed: int) -> None:
    assume(not isinstance(wanted, int) or wanted < len(rows))
    try:
        training, held_out = sides(rows, wanted, GROUP, seed)
    except BadInput:
        assert len({name for _, name, _ in rows}) == 1 or joined(rows)
        return
    assert held_out
    assert not {name for _, name, _ in training} & {name for _, name, _ in held_out}


@settings(max_examples=200, deadline=None)
@given(rows=entries, wanted=shares)
def test_held_out_rows_are_newer_than_all_that_are_trained(rows: list[Entry], wanted: float | int) -> None:
    rows = list({key: (key, name, moment) for key, name, moment in rows}.values())
    assume(len(rows) > 1)
    assume(not isinstance(wanted, int) or wanted < len(rows))
    try:
        training, held_out = sides(rows, wanted, TIME)
    except BadInput:
        assert len({moment for *_, moment in rows}) == 1
        return
    assert min(moment for *_, moment in held_out) > max(moment for *_, moment in training)


def test_a_copy_of_an_old_row_is_no_new_one() -> None:
    rows = [(1, "a", 0), (2, "a", 1), (3, "a", 2), (1, "a", 9), (4, "a", 5)]
    training, held_out = sides(rows, 2, TIME)
    assert held_out == [(3, "a", 2), (4, "a", 5)]
    assert (1, "a", 9) in training


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(10, 40), min_size=1, max_size=5), share=st.floats(0.1, 0.5), seed=st.integers(0, 20))
def test_each_stratum_gives_the_same_share(sizes: list[int], share: float, seed: int) -> None:
    keys = iter(range(1000))
    rows = [(next(keys), "abcde"[stratum], 0) for stratum, size in enumerate(sizes) for _ in range(size)]
    _, held_out = sides(rows, share, STRATIFIED, seed)
    found = Counter(name for _, name, _ in held_out)
    assert sum(found.values()) == max(1, round(share * len(rows)))
    for stratum, size in enumerate(sizes):
        assert abs(found["abcde"[stratum]] - share * size) <= 1.5


def test_groups_come_near_to_the_number_that_was_asked_for_whatever_the_seed() -> None:
    rows = [(number, f"{number // 4}", 0) for number in range(400)]
    held = [sides(rows, 0.1, GROUP, seed)[1] for seed in range(8)]
    assert {len(rows) for rows in held} == {40}
    assert len({tuple(sorted(name for _, name, _ in rows)) for rows in held}) == 8, "each seed takes others"
    more = [*rows, *((number, f"{number // 4}", 0) for number in range(400, 440))]
    before = {name for _, name, _ in held[1]}
    after = {name for _, name, _ in sides(more, 0.1, GROUP, 1)[1]}
    assert len(before & after) >= 8, "rows that are added move hardly any of the others"


@pytest.mark.parametrize("value", [
    5, 5.0, "5", date(1970, 1, 2), datetime(1970, 1, 2, 1), "1970-01-02", "1970-01-02T03:04:05Z",
    "1970-01-02 03:04+01:00",
])  # fmt: skip
def test_every_usual_spelling_of_a_time_is_one(value: Any) -> None:
    found = TIME.of({"c": value})
    assert isinstance(found, float)
    assert found in (5.0, 86_400.0, 90_000.0, 97_445.0, 93_840.0)


@pytest.mark.parametrize(("by", "value", "reason"), [
    (TIME, "yesterday", "holds no time: 'yesterday'"), (TIME, None, "is empty"), (TIME, True, "holds no time"),
    (GROUP, "  ", "is empty"), (GROUP, float("nan"), "is empty"), (GROUP, ["a"], "holds no name"),
])  # fmt: skip
def test_a_row_without_what_it_is_held_out_by_says_so(by: HoldOut, value: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        by.of({"c": value})


def recipe(path: str, hold_out: str, **settings: Any) -> Recipe:
    return assign(Recipe(), {
        "data.sources": [{"path": path}], "data.max_length": 64, "data.validation": 0.25, "data.hold_out": hold_out,
        **{f"data.{name}": value for name, value in settings.items()},
    })  # fmt: skip


def words(rows: Any, tokenizer: Tokenizer) -> set[str]:
    return {tokenizer.decode(row["input_ids"]) for row in rows}


@pytest.mark.parametrize("settings", [{}, {"prepare": [{"strip_html": None}, {"fold_system": None}]}])
def test_a_file_is_split_by_its_columns_also_after_repairs(
    jsonl: Callable[..., str], bpe: Tokenizer, settings: dict[str, Any]
) -> None:
    rows = [
        {"prompt": f"<b>doc {n // 5} part {n % 5}</b>", "completion": "x", "doc": n // 5,
         "day": f"2024-01-{1 + n % 28:02}"} for n in range(56)
    ]  # fmt: skip
    path = jsonl(*rows)
    by_doc = prepare(recipe(path, "group:doc", **settings), bpe, seed=1)
    held = words(by_doc.validation, bpe)
    assert 10 <= len(held) <= 18, "as near to 14 as whole documents come"
    for document in range(12):
        together = {text for text in held if f"doc {document} " in text}
        assert len(together) in (0, min(5, 56 - 5 * document))
    by_day = prepare(recipe(path, "time:day", **settings), bpe, seed=1)
    assert by_day.validation_rows == 14
    assert prepare(recipe(path, "stratified:doc", **settings), bpe, seed=1).validation_rows == 14


def test_rows_without_the_column_are_left_out_and_a_file_without_it_is_refused(
    jsonl: Callable[..., str], bpe: Tokenizer
) -> None:
    rows: list[dict[str, Any]] = [{"prompt": f"q {n}", "completion": "x", "doc": n} for n in range(10)]
    found = prepare(recipe(jsonl(*rows, {"prompt": "no doc", "completion": "x"}), "group:doc"), bpe, seed=1)
    assert found.dropped == {"unreadable": 1}
    assert "is empty" in found.bad[0].reason
    with pytest.raises(BadInput, match="has no column page, by which rows are to be held out"):
        prepare(recipe(jsonl(*rows), "group:page"), bpe, seed=1)
    assert prepare(recipe(jsonl(*rows), "group:page", validation=0), bpe, seed=1).validation_rows == 0
    one = jsonl(*({**row, "doc": 1} for row in rows))
    with pytest.raises(BadInput, match="All rows belong together by their column doc"):
        prepare(recipe(one, "group:doc"), bpe, seed=1)
    with pytest.raises(BadInput, match="All rows are of the same time"):
        prepare(recipe(one, "time:doc"), bpe, seed=1)


def test_what_is_no_way_to_hold_out_is_refused_at_the_recipe(tmp_path: Path) -> None:
    assert parse("random") is None
    assert parse("group: doc") == HoldOut("group", "doc")
    for text in ("group", "group:", "doc", "by:doc"):
        with pytest.raises(BadInput, match=r"data\.hold_out is"):
            parse(text)
        found = planned_only(recipe_of(json.dumps({"data": {"hold_out": text}})))
        assert found is not None
        assert "data.hold_out" in found[0]
    found = planned_only(recipe_of("data: {hold_out: group:doc, validation: held.jsonl}"))
    assert found is not None
    assert "data.validation is a file" in found[0]
    assert planned_only(recipe_of("data: {hold_out: group:doc, validation: '0.1'}")) is None
