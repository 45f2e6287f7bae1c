"""Tags and a note: beside the run's own documents, whole whatever happens, and none lost between two writers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ftui.errors import BadInput, Refused
from ftui.runs import notes
from ftui.runs.folder import Run

Make = Callable[..., Run]


def test_tags_are_added_and_taken_away_and_keep_their_order(run: Run) -> None:
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    assert notes.read(run) == notes.NONE
    assert notes.tag(run, ["+Good", "draft", "sweep/1"]).tags == ("good", "draft", "sweep/1")
    assert notes.tag(run, ["-draft", "+good", "new"]).tags == ("good", "sweep/1", "new")
    assert notes.note(run, "  a larger rank\nchanged nothing ").tags == ("good", "sweep/1", "new")
    assert notes.read(Run(run.path)).note == "a larger rank\nchanged nothing"
    assert notes.note(run, "").note == ""
    assert {name: (run.path / name).read_bytes() for name in before} == before, "run.json stays as it was written"


@pytest.mark.parametrize("word", ["", "+", "-", "two words", "a" * 33, "--x", "\x1b[31m", "naïve!", "a,b"])
def test_what_can_be_no_tag_is_refused_in_a_sentence_and_changes_nothing(run: Run, word: str) -> None:
    notes.tag(run, ["kept"])
    with pytest.raises(BadInput, match="can be no tag"):
        notes.tag(run, ["+fine", word])
    assert notes.read(run).tags == ("kept",)


def test_too_many_tags_and_too_long_a_note_are_refused(run: Run) -> None:
    with pytest.raises(BadInput, match="16 tags"):
        notes.tag(run, [f"t{n}" for n in range(17)])
    with pytest.raises(BadInput, match="2,000 letters"):
        notes.note(run, "x" * 2001)
    assert notes.read(run) == notes.NONE


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00", b"[]", b'{"tags": 3}', b'{"tags": ["a"], "note": null}'])
def test_a_garbled_file_is_read_as_none_and_stays_beside_the_new_one(run: Run, content: bytes) -> None:
    (run.path / notes.FILE).write_bytes(content)
    assert notes.read(run) == notes.NONE
    assert notes.tag(run, ["good"]).tags == ("good",)
    assert (run.path / notes.UNREAD).read_bytes() == content
    assert notes.read(run).tags == ("good",)


def test_what_a_newer_ftui_has_added_is_left_out(run: Run) -> None:
    (run.path / notes.FILE).write_text(json.dumps({"v": 2, "tags": ["good"], "colour": "red"}))
    assert notes.read(run).tags == ("good",)


def test_bytes_that_are_no_text_are_written_as_their_escapes(run: Run) -> None:
    assert notes.note(run, "caf\udce9").note == "caf\\udce9"
    assert notes.read(run).note == "caf\\udce9"


def test_a_folder_that_takes_no_writing_refuses_in_a_sentence(run: Run) -> None:
    gone = Run(run.path.with_name("gone"))
    with pytest.raises(Refused, match="can't be written: No such file"):
        notes.note(gone, "x")


def test_of_two_apps_that_write_at_once_neither_loses_a_tag(run: Run) -> None:
    script = (
        "import sys; from pathlib import Path; from ftui.runs import notes; from ftui.runs.folder import Run\n"
        "for n in range(8): notes.tag(Run(Path(sys.argv[1])), [f'{sys.argv[2]}{n}'])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(run.path), name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert set(notes.read(run).tags) == {f"{name}{n}" for name in "ab" for n in range(8)}
    assert not [path for path in run.path.iterdir() if path.name.startswith(f".{notes.FILE}.")]


WORDS = some.lists(some.from_regex(r"[+-]?[a-z]{1,3}", fullmatch=True), max_size=8)


@given(WORDS)
def test_the_last_word_about_a_tag_counts(words: list[str]) -> None:
    add, remove = notes.parse(words)
    assert not set(add) & set(remove)
    last = {word.lstrip("+-"): word[0] != "-" for word in words}
    assert {name for name, put in last.items() if put} == set(add)
    assert {name for name, put in last.items() if not put} == set(remove)


@given(some.text(max_size=12))
def test_any_text_is_a_tag_or_refused(text: str) -> None:
    try:
        add, remove = notes.parse([text])
    except BadInput as error:
        assert error.what.isprintable()  # noqa: PT017  (either outcome is right)
    else:
        (name,) = add + remove
        assert notes.TAG.fullmatch(name)
