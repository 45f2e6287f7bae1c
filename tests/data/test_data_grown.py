"""Tables and lists on disk hold what a dictionary and a list would, and leave memory and the disk as they were."""

from __future__ import annotations

import errno
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.data import grown
from ftui.data.grown import Numbers, Sets, Table
from ftui.errors import BadInput

KEYS = st.integers(0, (1 << 64) - 1)


@given(st.lists(st.tuples(KEYS | st.integers(0, 20), st.integers(1, (1 << 64) - 1)), max_size=60))
def test_a_table_gives_each_key_what_it_was_first_given(pairs: list[tuple[int, int]]) -> None:
    known: dict[int, int] = {}
    table = Table()
    for key, number in pairs:
        assert table.find(key) == known.get(key)
        assert table.first(key, number) == known.setdefault(key, number)


def test_a_table_outgrows_its_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grown, "_FIRST_ENTRIES", 64)
    chooser = random.Random(3)
    keys = [chooser.getrandbits(64) for _ in range(5000)]
    table = Table()
    for number, key in enumerate(keys, 1):
        assert table.first(key, number) == number
    assert [table.find(key) for key in keys] == list(range(1, 5001))
    assert table.find(chooser.getrandbits(64)) is None


def test_a_large_table_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grown, "_FIRST_ENTRIES", 64)
    monkeypatch.setattr(grown, "_MAPPED_BYTES", 32 * 256)
    table = Table()
    assert [table.first(key << 40 | key, key) for key in range(1, 1000)] == list(range(1, 1000))
    assert [table.first(key << 40 | key, 7) for key in range(1, 1000)] == list(range(1, 1000))
    assert isinstance(grown.slots(1 << 16), grown._FileSlots)


def test_numbers_and_sets_are_read_again_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grown, "_TAIL", 8)
    numbers, sets = Numbers(), Sets()
    given_sets = [frozenset(range(-place, place)) for place in range(30)]
    for place, each in enumerate(given_sets):
        numbers.append(place * place)
        sets.append(each)
    assert [numbers[place] for place in range(30)] == [place * place for place in range(30)]
    assert [frozenset(sets.read(place)) for place in range(30)] == given_sets
    assert [sets.size(place) for place in range(30)] == [2 * place for place in range(30)]
    assert (len(numbers), len(sets)) == (30, 30)


def test_files_have_no_name_and_stand_where_tmpdir_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with grown.scratch(1 << 20) as file:
        assert os.fstat(file.fileno()).st_dev == tmp_path.stat().st_dev
        assert list(tmp_path.iterdir()) == []
        assert file.read(8) == bytes(8)


def test_a_full_disk_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(BadInput, match=r"No room in .*Set TMPDIR to a folder on a disk with room"):
        Table()
