"""The sample of rows whose lengths are counted: the same whatever the rows' order, and small."""

from __future__ import annotations

import random

from ftui.data import sampling
from ftui.data.canonical import Row, make_row, text_of
from ftui.data.sampling import Sample


def rows(lengths: list[int]) -> list[Row]:
    return [make_row("x", line, "text", {"text": f"{line} " + "a" * length}) for line, length in enumerate(lengths)]


def sampled(given: list[Row], most: int) -> list[Row]:
    sample = Sample(most)
    for row in given:
        sample.add(row)
    return sample.rows()


def test_the_rows_of_the_lowest_keys_are_kept_in_their_order() -> None:
    given = rows([5] * 300)
    lowest = set(sorted(row.key for row in given)[:40])
    assert sampled(given, 40) == [row for row in given if row.key in lowest]
    assert sampled(given, 1000) == given


def test_of_long_rows_fewer_are_kept_and_always_the_same() -> None:
    chooser = random.Random(1)
    given = rows([chooser.randrange(100_000) for _ in range(1000)])
    kept = sampled(given, 1000)
    assert sampling.LEAST_ROWS <= len(kept) < 1000
    assert sum(len(text_of(row)) for row in kept[: sampling.LEAST_ROWS]) > sampling.CHARACTERS
    keys = {row.key for row in kept}
    assert keys == set(sorted(row.key for row in given)[: len(kept)])
    for _ in range(3):
        chooser.shuffle(given)
        assert {row.key for row in sampled(given, 1000)} == keys


def test_of_books_a_few_are_kept() -> None:
    given = rows([20_000_000] * 4)
    assert len(sampled(given, 1000)) == 2
    assert len(sampled(given[:1], 1000)) == 1
