"""What the wizard shows of a dataset: nothing in its rows, names or labels steers the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftui.data import preview, profile
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
