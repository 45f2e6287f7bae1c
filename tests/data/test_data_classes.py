"""Texts with labels as a person sees them before training: the labels counted, a row with its label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.cli.main import main
from ftui.data import Given, preview, profile
from ftui.screens.wizard.data_facts import facts, preview_lines

ROWS = [{"text": f"Ticket {number}", "label": "billing" if number % 3 else "refund"} for number in range(9)]


def test_the_labels_are_named_with_their_rows(jsonl: Callable[..., str]) -> None:
    shown = [line.plain for line in facts(profile(jsonl(*ROWS)), 80)]
    assert shown[0] == "9 rows of texts with labels"
    assert "labels    2: billing 6, refund 3" in shown
    assert not any("trained" in line for line in shown)


def test_many_labels_are_cut_short(jsonl: Callable[..., str]) -> None:
    rows = [{"text": f"Ticket {number}", "label": f"kind {number}"} for number in range(40) for _ in range(2)]
    line = next(line.plain for line in facts(profile(jsonl(*rows)), 80) if line.plain.startswith("labels"))
    assert "40: kind 0 2, " in line
    assert line.endswith(" and 28 more")


def test_a_row_is_shown_with_its_label_and_as_a_classifier_reads_it(
    jsonl: Callable[..., str], bpe_folder: Path
) -> None:
    for shape in (None, bpe_folder):
        found = preview(jsonl(*ROWS), 2, shape, loss_on="all")
        assert found.beside == {"label": "billing"}
        assert found.rendered == "Ticket 1"
        assert found.trained == 0
        lines = [line.plain for line in preview_lines(found)]
        assert lines[1] == "label billing"
        assert lines[2] == "Ticket 1"


def test_one_that_shall_write_its_label_is_shown_writing_it(jsonl: Callable[..., str]) -> None:
    found = preview(jsonl(*ROWS), 2)
    assert [token.text.strip() for token in found.tokens if token.trained] == ["billing"]


@pytest.mark.parametrize(
    ("row", "beside"),
    [
        ({"text": "Two at once", "labels": ["a", "b"]}, {"labels": "a, b"}),
        ({"prompt": "What?", "completion": "That.", "label": False}, {"marked": "bad"}),
        ({"prompt": "How many?", "answer": 7}, {"answer": "7"}),
        ({"prompt": "What?", "completion": "That."}, {}),
    ],
)
def test_what_stands_beside_a_text_is_shown_beside_it(
    row: dict[str, object], beside: dict[str, str], jsonl: Callable[..., str]
) -> None:
    path = jsonl(row, row)
    assert preview(Given(path, format="prompt" if "answer" in row else "auto")).beside == beside


def test_the_command_line_shows_both(jsonl: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(*ROWS)
    for words, said in (([path], "6 billing, 3 refund"), ([path, "--row", "1"], "label: refund")):
        with pytest.raises(SystemExit):
            main(["data", "show", *words])
        assert said in capsys.readouterr().out
