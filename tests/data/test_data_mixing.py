"""How often each source's rows are taken, and in which order."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data import prepare
from ftui.errors import BadInput
from ftui.models import demo
from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import planned_only


def recipe(folder: Path, sizes: dict[str, int], *, share: str | None = None, **settings: Any) -> Recipe:
    """One file for each task, its rows' answers of growing length; `share` names the source that is replayed."""
    sources = []
    for task, count in sizes.items():
        rows = [
            {"prompt": f"{task} {n}", "completion": f"{task} " * (1 + n % 7), "hard": -n} for n in range(count)
        ]
        (folder / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        sources.append({"path": str(folder / f"{task}.jsonl"), "replay": 0.2 if task == share else 0.0})
    asked = {f"data.{name}": value for name, value in settings.items()}
    return assign(Recipe(), {"data.sources": sources, "data.validation": 0, "data.max_length": 128, **asked})


def tasks(made: Recipe) -> list[str]:
    """The task of each row of an epoch, in their order."""
    prepared = prepare(made, demo.ensure_folder(), seed=1)
    texts = [prepared.tokenizer.decode(row["input_ids"]) for row in prepared.train]
    return [next(task for task in ("red", "blue", "green") if task in text) for text in texts]


@pytest.mark.parametrize(("balance", "expected"), [
    (0.0, {"red": 80, "blue": 20, "green": 5}),
    (1.0, {"red": 35, "blue": 35, "green": 35}),
    (0.5, {"red": 60, "blue": 30, "green": 15}),
])
def test_balance_evens_the_sources_out_and_keeps_their_sum(
    balance: float, expected: dict[str, int], own_home: Path, tmp_path: Path
) -> None:
    found = Counter(tasks(recipe(tmp_path, {"red": 80, "blue": 20, "green": 5}, balance=balance)))
    assert found == expected


def test_every_row_of_a_small_source_stands_as_often_as_the_others(own_home: Path, tmp_path: Path) -> None:
    prepared = prepare(recipe(tmp_path, {"red": 40, "blue": 10}, balance=1.0), demo.ensure_folder(), seed=1)
    seen = Counter(tuple(row["input_ids"]) for row in prepared.train)
    texts = {prepared.tokenizer.decode(list(ids)): count for ids, count in seen.items()}
    assert {count for text, count in texts.items() if "blue" in text} <= {2, 3}
    assert sum(count for text, count in texts.items() if "blue" in text) == 25


def test_a_replayed_source_makes_up_its_share_of_an_epoch(own_home: Path, tmp_path: Path) -> None:
    found = Counter(tasks(recipe(tmp_path, {"red": 80, "blue": 300}, share="blue")))
    assert found == {"red": 80, "blue": 20}
    found = Counter(tasks(recipe(tmp_path, {"red": 80, "blue": 7}, share="blue")))
    assert found == {"red": 80, "blue": 20}, "of few old rows each comes several times"


def test_a_curriculum_puts_the_rows_in_order(own_home: Path, tmp_path: Path) -> None:
    sizes = {"red": 20, "blue": 20}
    short = prepare(recipe(tmp_path, sizes, curriculum="length"), demo.ensure_folder(), seed=1).train.lengths()
    assert short == sorted(short)
    assert short != sorted(short, reverse=True)
    assert tasks(recipe(tmp_path, sizes, curriculum="sources")) == ["red"] * 20 + ["blue"] * 20
    made = prepare(recipe(tmp_path, {"red": 20}, curriculum="column:hard"), demo.ensure_folder(), seed=1)
    texts = [made.tokenizer.decode(row["input_ids"]) for row in made.train]
    assert "red 19" in texts[0]
    assert "red 0" in texts[-1]


def test_a_column_without_numbers_orders_nothing(own_home: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        prepare(recipe(tmp_path, {"red": 5}, curriculum="column:level"), demo.ensure_folder(), seed=1)
    assert "its column level" in str(caught.value.hint)


@pytest.mark.parametrize(("text", "said"), [
    ("data: {curriculum: hard}", "none of length, sources and column:NAME"),
    ("data: {curriculum: length, packing: true}", "would order nothing"),
    ("data: {curriculum: length}\ntrain: {group_by_length: true}", "each order the rows"),
    ("data: {curriculum: length}\nobjective: {kind: grpo, rewards: [format]}", "at random"),
    ("data: {sources: [{path: a, replay: 0.5}, {path: b, replay: 0.5}]}", "nothing new to learn"),
    ("data: {sources: [{path: a, replay: 0.5}]}", "none is new"),
    ("continual: {ewc: 1}", "what was important for the old task"),
    ("continual: {ewc: 1, remember: a}\nobjective: dpo", "by the likelihood of rows"),
    ("continual: {save_importance: true}\nobjective: dpo", "by the likelihood of rows"),
])
def test_what_can_not_be_kept_ordered_or_mixed_is_refused_at_the_recipe(text: str, said: str) -> None:
    found = planned_only(parse(text))
    assert found is not None
    assert said in found[0]


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.1, 3), min_size=4, max_size=4),
    replay=st.floats(0, 0.9), balance=st.floats(0, 1), seed=st.integers(0, 99),
)  # fmt: skip
def test_whatever_is_mixed_each_row_comes_as_often_as_its_neighbours_and_shares_are_kept(
    sizes: list[int], weights: list[float], replay: float, balance: float, seed: int
) -> None:
    from ftui.data.given import Given
    from ftui.data.mixing import mixed
    from ftui.data.pile import Pile
    from ftui.data.token_rows import TokenStore

    pile = Pile(TokenStore(), "sequence")
    replayed = replay if len(sizes) > 1 else 0.0
    sources = [Given(str(number), weight=weight, replay=replayed if number == len(sizes) - 1 else 0.0)
               for number, weight in zip(range(len(sizes)), weights, strict=False)]  # fmt: skip
    for number, size in enumerate(sizes):
        for _ in range(size):
            row = len(pile.pieces)
            pile.pieces.append((row, row + 1))
            pile.sources.append(number)
            pile.store.tasks.append(-1)
    training = list(range(len(pile.pieces)))
    try:
        chosen = mixed(training, pile, sources, balance, seed)
    except BadInput:
        assert sum(round(weight * size) for weight, size in zip(weights, sizes, strict=False)) < 2 * len(sizes)
        return
    assert chosen == mixed(training, pile, sources, balance, seed), "the seed alone decides"
    counts = Counter(chosen)
    for number in range(len(sizes)):
        own = [counts[row] for row in training if pile.sources[row] == number]
        assert max(own) - min(own) <= 1, "no row of a source comes twice before each has come once"
    shares = Counter(pile.sources[row] for row in chosen)
    if replayed:
        assert abs(shares[len(sizes) - 1] - replayed * len(chosen)) <= 2
    elif not balance:
        for number, size in enumerate(sizes):
            assert abs(shares[number] - weights[number] * size) <= 1
