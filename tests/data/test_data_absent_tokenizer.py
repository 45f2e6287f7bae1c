"""A tokenizer that isn't on this disk: the models room fetches it, or says in its own words why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftui.data import load_tokenizer, profile
from ftui.errors import Refused
from ftui.models import describe


def test_the_models_room_is_asked_for_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from ftui.models.demo import ensure_folder

    asked = []

    def folder(ref: str, revision: str | None = None) -> Path:
        asked.append((ref, revision))
        return ensure_folder()

    monkeypatch.setattr("ftui.data.tokenizer.tokenizer_folder", folder)
    shape = describe("Qwen/Qwen3-0.6B")
    assert load_tokenizer(shape).encode("Hello!")
    assert asked == [(shape.ref, shape.revision)]


def test_a_tokenizer_that_cannot_be_fetched_is_said_in_one_sentence() -> None:
    with pytest.raises(Refused, match="HF_HUB_OFFLINE") as caught:
        load_tokenizer(describe("Qwen/Qwen3-0.6B"))
    assert caught.value.hint


def test_lengths_are_estimated_where_the_tokenizer_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"prompt": "a", "completion": "b"}) + "\n")
    found = profile(str(tmp_path / "x.jsonl"), describe("Qwen/Qwen3-0.6B"))
    assert any("HF_HUB_OFFLINE" in note for note in found.notes)


def test_nan_stands_for_a_missing_text(tmp_path: Path) -> None:
    rows = [{"instruction": "Say it.", "input": float("nan"), "output": "It."},
            {"instruction": "Say it.", "input": "", "output": float("nan")}]  # fmt: skip
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = profile(str(tmp_path / "x.jsonl"))
    assert (found.rows, found.bad_rows) == (1, 1)
    assert "NaN" in found.bad[0].reason
