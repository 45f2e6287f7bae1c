"""The tasks of rows: named by their source or a column, numbered, kept apart, evened out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ftui.data import prepare
from ftui.models import demo
from ftui.recipe.document import Recipe


def write(file: Path, rows: int, **beside: str) -> str:
    file.write_text("".join(
        json.dumps({"prompt": f"How much is {number}?", "completion": "So much.", **beside}) + "\n"
        for number in range(rows)
    ))  # fmt: skip
    return str(file)


def prepared(sources: list[dict[str, Any]], **data: Any) -> Any:
    recipe = Recipe.model_validate({"data": {"sources": sources, "validation": 0, "max_length": 128, **data}})
    return prepare(recipe, demo.ensure_folder(), seed=1)


def counts(made: Any) -> dict[str, int]:
    return dict(Counter(made.tasks[made.train[index]["task_id"]] for index in range(len(made.train))))


def test_a_source_names_the_task_of_its_rows_and_a_column_of_each(own_home: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text("".join(json.dumps({"prompt": "?", "completion": "!", "kind": kind}) + "\n" for kind in "bab"))
    made = prepared([
        {"path": write(tmp_path / "a.jsonl", 2), "task": "a"}, {"path": str(mixed), "task": "column:kind"},
    ])  # fmt: skip
    assert made.tasks == ("a", "b")
    assert [made.train[index]["task_id"] for index in range(5)] == [0, 0, 1, 0, 1]


def test_without_tasks_rows_say_none(own_home: Path, tmp_path: Path) -> None:
    made = prepared([{"path": write(tmp_path / "a.jsonl", 2)}])
    assert made.tasks == ()
    assert "task_id" not in made.train[0]


def test_a_row_whose_column_names_no_task_is_left_out(own_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"prompt": "?", "completion": "!", "kind": "a"}\n{"prompt": "?", "completion": "!"}\n')
    made = prepared([{"path": str(file), "task": "column:kind"}])
    assert made.dropped == {"unreadable": 1}
    assert "its column kind names no task" in made.bad[0].reason


def test_equal_rows_of_two_tasks_are_no_copies_and_no_contradictions(own_home: Path, tmp_path: Path) -> None:
    sources = [{"path": write(tmp_path / f"{task}.jsonl", 3), "task": task} for task in "ab"]
    made = prepared(sources, prepare=[{"drop_duplicates": None}])
    assert counts(made) == {"a": 3, "b": 3}


@pytest.mark.parametrize(("balance", "wanted"), [(0, {"a": 36, "b": 12}), (1, {"a": 24, "b": 24})])
def test_balance_evens_out_tasks_whatever_their_sources(
    own_home: Path, tmp_path: Path, balance: float, wanted: dict[str, int]
) -> None:
    sources = [{"path": write(tmp_path / f"{place}.jsonl", 12), "task": task} for place, task in enumerate("aaab")]
    assert counts(prepared(sources, balance=balance)) == wanted


def test_balance_evens_out_the_tasks_of_one_file(own_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(
        json.dumps({"prompt": f"{number}?", "completion": "!", "kind": "a" if number % 4 else "b"}) + "\n"
        for number in range(40)
    ))  # fmt: skip
    assert counts(prepared([{"path": str(file), "task": "column:kind"}], balance=1)) == {"a": 20, "b": 20}
