"""A function of the user's own decides which rows stay, in a process of its own, and fails in one sentence."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data import prepare, prepared_cache
from ftui.data.canonical import Row, make_row
from ftui.data.repairs import Context, parse, repaired, with_files
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput
from ftui.recipe import assign
from ftui.recipe.document import Recipe


def written(folder: Path, body: str, name: str = "filters.py") -> str:
    """The reference of a file's function `keep` with that body."""
    (folder / name).write_text("import os, sys\nSEEN = []\n\ndef keep(row):\n" + "".join(
        f"    {line}\n" for line in body.splitlines()
    ))  # fmt: skip
    return f"{folder / name}:keep"


def rows(count: int) -> list[Row]:
    return [
        make_row("data.jsonl", number, "conversation", {"messages": [
            {"role": "user", "content": f"q {number}"}, {"role": "assistant", "content": "a" * number}]})
        for number in range(1, count + 1)
    ]  # fmt: skip


def through(reference: str, given: list[Row]) -> tuple[list[int], list[str]]:
    gone: list[str] = []
    items = iter([(0, row) for row in given])
    asked = parse([{"filter_python": reference}])
    left = repaired(items, asked, Context(1), lambda _, row, reason, full: gone.append(f"{reason}: {full}"))
    return [row.line for _, row in left], gone


def test_rows_stay_for_which_the_function_says_so(tmp_path: Path) -> None:
    reference = written(tmp_path, "print('noise')\nreturn len(row['messages'][-1]['content']) % 2 == 0")
    assert through(reference, rows(6)) == ([2, 4, 6], [f"filtered: not kept by {reference}"] * 3)


def test_it_sees_the_rows_in_order_with_their_kind_source_and_line(tmp_path: Path) -> None:
    body = "SEEN.append(row['line'])\nreturn SEEN == list(range(1, row['line'] + 1)) and row['kind'] == 'conversation'"
    assert through(written(tmp_path, f"{body} and row['source'] == 'data.jsonl'"), rows(300))[0] == [*range(1, 301)]


def test_it_runs_in_a_process_of_its_own_that_ends_with_the_rows(tmp_path: Path) -> None:
    reference = written(tmp_path, f"return os.getpid() != {os.getpid()}")
    assert through(reference, rows(2))[0] == [1, 2]
    assert not [name for name in sys.modules if name.startswith("ftui_loader_")]
    asked = parse([{"filter_python": reference}])
    items = repaired(iter([(0, row) for row in rows(5)]), asked, Context(1), lambda *_: None)
    next(items)
    items.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("body", "says"), [
    ("return row['nothing']", "failed: KeyError: 'nothing' on line 1 of data.jsonl"),
    ("raise ValueError('odd\\nrow')", "failed: ValueError: odd row on line 1"),
    ("os._exit(3)", "ended before its last row"),
    ("return 1 / (3 - row['line'])", "division by zero on line 3"),
])  # fmt: skip
def test_a_function_that_fails_is_named_with_its_row_and_its_message(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        through(written(tmp_path, body), rows(4))
    assert says in caught.value.what
    assert "a filter takes one row" in str(caught.value.hint)


def test_what_is_no_function_is_refused_before_any_row(tmp_path: Path) -> None:
    for entry in ("filters.py", 3, "a b:c"):
        with pytest.raises(BadInput, match="function of filter_python"):
            parse([{"filter_python": entry}])
    with pytest.raises(BadInput, match=r"needs function"):
        parse([{"filter_python": None}])
    with pytest.raises(BadInput, match="There is no file"):
        through(f"{tmp_path / 'gone.py'}:keep", rows(1))
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(BadInput, match="has no function keep"):
        through(f"{tmp_path / 'empty.py'}:keep", rows(1))


def test_a_run_finds_the_function_wherever_it_starts() -> None:
    def absolute(file: str) -> str:
        return f"/home/{file}"

    found = with_files({"filter_python": "own.py:keep"}, absolute)
    assert found == {"filter_python": {"function": "/home/own.py:keep"}}
    assert with_files({"filter_python": "package.own:keep"}, absolute) == {"filter_python": "package.own:keep"}
    assert with_files({"drop_leaks": ["a.jsonl"]}, absolute)["drop_leaks"]["files"] == ["/home/a.jsonl"]  # type: ignore[index]


def test_a_run_prepares_what_the_function_keeps_and_never_takes_it_for_known(
    jsonl: Callable[..., str], bpe: Tokenizer, tmp_path: Path
) -> None:
    path = jsonl(*({"prompt": f"q {n}", "completion": "a"} for n in range(30)))
    reference = written(tmp_path, "return row['line'] <= 12")
    asked: dict[str, Any] = {"data.sources": [{"path": path}], "data.validation": 0,
                             "data.prepare": [{"filter_python": reference}]}  # fmt: skip
    recipe = assign(Recipe(), asked)
    assert prepare(recipe, bpe, seed=1).train_rows == 12
    written(tmp_path, "return row['line'] <= 5")
    found = prepare(recipe, bpe, seed=1)
    assert (found.train_rows, found.dropped, found.cached) == (5, {"filtered": 25}, False)
    assert prepared_cache.entries() == []
    assert json.loads(json.dumps(recipe.as_dict()))["data"]["prepare"] == [{"filter_python": reference}]
