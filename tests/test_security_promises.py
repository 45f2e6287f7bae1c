"""SECURITY.md promises nothing that no test holds: each promise names its tests, and each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROMISED = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("## What is not promised")[0]
PROMISES = [" ".join(part.split()) for part in PROMISED.split("\n- ")[1:]]
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 12


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:40])
def test_each_promise_names_tests_that_there_are(promise: str) -> None:
    named = TEST.findall(promise)
    assert named, "no test holds it"
    for file, function in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in defined or not function, f"{file} has no {function}"


def test_the_readme_leads_to_it() -> None:
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
