"""docs/faults.md names a test in each row, and each of these is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"
QUOTED = re.compile(r"`(?:([\w/]+)(?:: |(?=`)))?([^`]*)`")


def rows() -> Iterator[tuple[str, str]]:
    """(fault, cell that names its tests) of every row of the page's tables."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and cells[0] != "fault" and not set(cells[0]) <= {"-"}:
            yield cells[0], cells[2]


def names_in(place: str) -> set[str]:
    """The tests of "killed", a module here, or of "tests/worker", a whole folder."""
    files = sorted((TESTS.parent / place).glob("test_*.py")) if "/" in place else [
        TESTS / "faults" / f"test_faults_{place}.py"
    ]
    assert files, f"there is no {place}"
    return {
        node.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def named(cell: str) -> Iterator[tuple[str, str]]:
    """(place, pattern) of each test that a cell names; a place holds until the next one is said."""
    place = ""
    for said, pattern in QUOTED.findall(cell):
        place = said or place
        yield place, pattern


def test_the_page_has_rows() -> None:
    assert len(list(rows())) > 50


@pytest.mark.parametrize(("fault", "cell"), [*rows()], ids=[fault[:60] for fault, _ in rows()])
def test_every_fault_has_a_test_and_every_test_that_is_named_is_there(fault: str, cell: str) -> None:
    found = list(named(cell))
    assert found, f"{fault}: no test is named"
    for place, pattern in found:
        parts = [re.escape(part) for part in pattern.split("…")]
        fits = re.compile(".*".join(parts) if pattern else ".*")
        assert any(fits.fullmatch(name) for name in names_in(place)), f"{fault}: {place} has no test like {pattern}"
