"""The committed reference pages are what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("docs_make", DOCS / "make.py")
assert SPEC is not None
assert SPEC.loader is not None
MAKE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MAKE)


@pytest.mark.parametrize("name", MAKE.PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    committed = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert committed == MAKE.PAGES[name](), "run `python docs/make.py` and commit docs/reference"


def test_no_page_is_left_over() -> None:
    assert {path.name for path in (DOCS / "reference").iterdir()} == set(MAKE.PAGES)


def test_the_pages_name_every_setting_preset_and_term() -> None:
    from ftui.glossary import TERMS
    from ftui.recipe import presets, walk_all

    settings = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert all(f"| `{entry.path.partition('.')[2] or entry.path}` |" in settings for entry in walk_all())
    assert all(preset.command in (DOCS / "reference" / "presets.md").read_text("utf-8") for preset in presets())
    assert all(term.text in (DOCS / "reference" / "glossary.md").read_text("utf-8") for term in TERMS)
