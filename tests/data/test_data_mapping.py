"""Where an objective wants other rows than the data seems to hold, the columns that would make them are named."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from ftui.data import profile
from ftui.data.convert import FORMATS
from ftui.data.mapping import USUAL, mapping_hint
from ftui.methods import OBJECTIVES
from ftui.recipe import assign, assignments
from ftui.recipe.document import Recipe


@pytest.mark.parametrize(
    ("objective", "row", "columns"),
    [
        ("classify", {"body": "Hello there", "category": "a"}, {"text": "body", "label": "category"}),
        ("classify", {"body": "Hello there", "category": "a", "id": 3}, {"text": "body", "label": "COLUMN"}),
        ("dpo", {"prompt": "What?", "completion": "That.", "worse": "No."},
         {"prompt": "prompt", "chosen": "COLUMN", "rejected": "COLUMN"}),
        ("sft", {"prompt": "What?", "chosen": "That.", "rejected": "No."},
         {"prompt": "prompt", "completion": "COLUMN"}),
    ],
)  # fmt: skip
def test_a_hint_can_be_put_behind_the_command(
    objective: str, row: dict[str, Any], columns: dict[str, str], jsonl: Callable[..., str]
) -> None:
    path = jsonl(row, row)
    source = profile(path).sources[0]
    hint = mapping_hint(source, 0, OBJECTIVES[objective].data)
    assert hint is not None
    words = shlex.split(hint.partition(": ")[2].partition(", or m on")[0])
    said = assign(Recipe(), {"data.sources": [{"path": path}], **assignments(words[1::2])}).data.sources[0]
    assert dict(said.columns) == columns
    if "COLUMN" not in columns.values():
        assert profile(said).kind in OBJECTIVES[objective].data


def test_a_file_with_too_few_columns_is_said_to_lack_one(jsonl: Callable[..., str]) -> None:
    source = profile(jsonl({"text": "Hello there"})).sources[0]
    assert mapping_hint(source, 0, ("class",)) == "It has no more columns than text; text and label are needed."


def test_the_parts_that_are_named_are_those_of_the_formats() -> None:
    for kind, (name, parts) in USUAL.items():
        assert FORMATS[name].kind == kind
        assert set(FORMATS[name].required) <= set(parts) <= {*FORMATS[name].required, *FORMATS[name].optional}
