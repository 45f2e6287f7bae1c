"""What the wizard shows of a dataset: nothing in its rows, names or labels steers the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftui.data import preview, profile
from ftui.models import describe
from ftui.screens.wizard.data_facts import facts, preview_lines

HOSTILE = "\x1b[31m\x1b]52;c;aGk=\x07\x9b2J\u202eevil\u2066\u200f\x00\r\x08"
TALK = [{"role": "user", "content": HOSTILE}, {"role": "assistant", "content": f"a{HOSTILE}"}]


@pytest.mark.parametrize(
    "rows",
    [
        [{"messages": TALK}, {"messages": [{"role": HOSTILE, "content": "x"}]}, {"messages": TALK, HOSTILE: 1}],
        [{"text": HOSTILE, "label": HOSTILE}, {"text": "b", "label": "b"}],
        [{"text": HOSTILE}],
        [{"prompt": HOSTILE, "chosen": f"a{HOSTILE}", "rejected": f"b{HOSTILE}"}],
    ],
    ids=["turns", "labels", "text", "pairs"],
)
def test_facts_and_preview_show_controls_and_never_send_them(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    path = tmp_path / "a\x1b[2J\u202e.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [*facts(profile(str(path)), 80), *preview_lines(preview(str(path), 1))]
    shown = "\n".join(line.plain for line in lines)
    assert "evil" in shown
    assert [letter for letter in shown if not letter.isprintable() and letter not in "\n\t"] == []


def test_a_row_tells_by_characters_and_counts_what_is_trained_masked_special_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    path.write_text(json.dumps({"messages": turns}))
    shape = describe("demo")
    head, row = (line.plain for line in preview_lines(preview(str(path), 1, shape))[:2])
    assert head.startswith("row 1 (line 1)  13 tokens: ‹2 trained›, 11 masked, «4 special»  template model")
    assert row == (
        "«<|im_start|>»user\nHi«<|im_end|>»\n«<|im_start|>»assistant\n‹Ho«<|im_end|>»›\n"
    )
    head, row = (line.plain for line in preview_lines(preview(str(path), 1, shape, max_length=9))[:2])
    assert "║4 cut off" in head
    assert row.count("║") == 1
    assert "‹" not in row.split("║")[1]


def test_without_a_tokenizer_characters_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "Hi", "completion": "Hello"}))
    head = preview_lines(preview(str(path), 1))[0].plain
    assert "characters: ‹5 trained›, " in head
