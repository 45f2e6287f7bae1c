"""A function of the user's own yields rows from a process of its own; what goes wrong in it is one sentence."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from ftui.data import profile, profile_apart
from ftui.data.canonical import Row
from ftui.data.document import BadRow
from ftui.data.given import Given
from ftui.data.loading import load
from ftui.data.own_loader import is_loader
from ftui.errors import BadInput

SOURCE = """
import os
import pathlib

def rows():
    print("words on the way")
    pathlib.Path(__file__).with_name("ran").write_text(str(os.getpid()))
    for index in range(3):
        yield {"prompt": f"q{index}", "completion": "a"}

def spoilt():
    yield {"text": "one"}
    yield ["two"]
    yield {"text": object()}
    yield {"text": "four"}

def failing():
    yield {"text": "one"}
    raise ValueError("no such table: \\x1b[31mtickets")

def endless():
    while True:
        yield {"text": "again"}

def dying():
    yield {"text": "one"}
    os._exit(3)

def nothing():
    return None

number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    return path


def test_its_rows_are_data_and_its_code_never_runs_here(own: Path) -> None:
    found = profile(f"{own}:rows")
    assert (found.rows, found.sources[0].format, found.sources[0].bytes) == (3, "prompt-completion", 0)
    assert own.with_name("ran").exists()
    assert not [name for name in sys.modules if "ftui_loader" in name or name == "own"]


def test_it_is_read_in_the_profiles_child_process_too(own: Path) -> None:
    assert profile_apart(f"{own}:rows").rows == 3


def test_a_module_of_the_working_folder_is_found(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.parent)
    assert profile("own:rows").rows == 3


def test_rows_that_are_none_are_told_with_their_number(own: Path) -> None:
    rows = list(load(Given(f"{own}:spoilt")).rows())
    assert [row.value["text"] for row in rows if isinstance(row, Row)] == ["one", "four"]
    assert [(row.line, row.reason) for row in rows if isinstance(row, BadRow)] == [
        (2, "a list where a dict should be"), (3, "no JSON: Object of type object is not JSON serializable")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("failing", r"own\.py:failing failed: ValueError: no such table: \\x1b\[31mtickets"),
        ("dying", "ended before its last row"),
        ("nothing", "nothing failed: TypeError"),
        ("number", "has no function number"),
        ("missing", "has no function missing"),
    ],
)
def test_what_goes_wrong_in_it_is_one_sentence(own: Path, function: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        profile(f"{own}:{function}")
    assert "\n" not in refused.value.what


def test_a_module_that_is_not_there_is_told(own: Path) -> None:
    with pytest.raises(BadInput, match=r"ModuleNotFoundError: No module named 'nowhere'"):
        profile("nowhere:rows")
    with pytest.raises(BadInput, match="There is no file"):
        profile(f"{own.with_name('gone.py')}:rows")


def test_an_endless_one_stops_where_the_limit_is(own: Path) -> None:
    begun = time.monotonic()
    assert profile(Given(f"{own}:endless", limit=500)).rows == 500
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("path", "own"),
    [("rows:load", True), ("my.rows:load", True), ("~/x/rows.py:load", True), ("owner/name:config", False),
     ("hf://datasets/owner/name", False), ("C:/rows.json", False), ("a.jsonl", False), ("a.py", False)],
)  # fmt: skip
def test_functions_are_told_from_files_and_hub_datasets(path: str, own: bool) -> None:
    assert is_loader(path) is own
