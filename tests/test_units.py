"""Numbers are said with a unit, short, and never in a notation that people don't read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.units import clock, count, gib, plain, signed_gib


@pytest.mark.parametrize(
    ("number", "said"),
    [(None, "?"), (0, "0"), (12_345, "12,345"), (1_148_032, "1.15 M"), (999_885_952, "1 B"), (8_030_261_248, "8.03 B")],
)
def test_counts_read_as_people_say_them(number: float | None, said: str) -> None:
    assert count(number) == said


@given(st.integers(0, 10**12))
def test_no_count_shows_an_exponent(number: int) -> None:
    assert "e" not in count(number)


@pytest.mark.parametrize(("size", "said"), [(512, "512 B"), (52 << 20, "52 MiB"), (13 * (1 << 30), "13.0 GiB")])
def test_bytes_read_as_binary_units(size: int, said: str) -> None:
    assert gib(size) == said


def test_a_change_in_memory_carries_its_sign() -> None:
    assert signed_gib(3 << 29) == "+1.5 GiB"
    assert signed_gib(-(3 << 29)) == "−1.5 GiB"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "?"), (float("nan"), "?"), (4.25, "4.2 s"), (45, "45 s"), (720, "12 min"), (11_220, "3:07 h")],
)
def test_durations_read_as_people_say_them(seconds: float | None, said: str) -> None:
    assert clock(seconds) == said
    assert clock(187_200) == "2 d 4 h"


def test_escape_sequences_are_shown_and_never_sent() -> None:
    assert plain("a\x1b[31mred\x07\r\n") == "a\\x1b[31mred\\x07\\r\n"
