"""Data that is mended in the wizard, and preferences that are made in the terminal, walked to a run that has ended."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.runs import find
from ftui.runs.follow import history

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("journeys")]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_faults_are_found_mended_by_a_key_and_left_out_by_the_run(
    open_terminal: Callable[..., Any], trained_demo: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    sound = [{"prompt": f"What is {n} plus {n}?", "completion": f"It is {2 * n}, twice {n}."} for n in range(120)]
    refusing = [{"prompt": f"Help {n}", "completion": "As an AI language model, I cannot do that."} for n in range(4)]
    lines = [json.dumps(row) for row in [*sound, *refusing, *sound[:9]]]
    (tmp_path / "sums.jsonl").write_text("\n".join([*lines, "{broken"]))

    terminal = open_terminal(size=size)
    terminal.name_data("sums.jsonl")
    terminal.wait_for(r"check-up +3 warnings(.|\n)*133 rows of conversation", timeout=60)
    terminal.keys("c")
    terminal.wait_for(r"! +1 row can't be read(.|\n)*\[ \] drop_duplicates(.|\n)*line 134 +broken JSON")
    terminal.keys("Down")
    terminal.wait_for(r"9 rows that copy earlier ones exactly(.|\n)*line 125 +the same as an earlier row")
    terminal.keys("Enter", "Down", "Enter")
    terminal.wait_for(r"120 rows left after 2 repairs \(9 duplicate, 4 refusal\)", timeout=60)
    terminal.keys("Escape")
    terminal.wait_for(r"120 rows of conversation")
    for step in ("Goal", r"Plan(.|\n)*★", "Settings"):
        terminal.keys("C-n")
        terminal.wait_for(rf"● {step}", timeout=60)
    terminal.keys("/", pause=0.5)
    terminal.type("step limit")
    terminal.keys("Enter", pause=0.5)
    if "Step limit" in terminal.screen():
        terminal.keys("Enter", pause=0.5)
    terminal.type("3")
    terminal.keys("Enter", pause=1)
    terminal.keys("C-n")
    terminal.wait_for(r"● Review(.|\n)*train.max_steps 3")
    terminal.keys("Enter")
    terminal.wait_for(r"finished", timeout=300)
    run = find("last")
    assert re.search(r"9 duplicate|duplicate.*9", run.report.read_text())
    assert [event.step for event in history(run) if event.kind == "metric"][-1] == 3


def test_answers_are_rated_in_the_terminal_survive_its_end_and_train_dpo(
    open_terminal: Callable[..., Any], ftui: Callable[..., Any], trained_demo: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": f"Where does {n} live?", "answer_a": f"Here {n}.", "answer_b": f"There {n}."} for n in range(14)]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rate = ("data", "rate", "answers.jsonl", "--rater", "ann", "--out", "pairs.jsonl")
    first = open_terminal(*rate, size=(80, 24))
    first.wait_for(r"Where does 0 live(.|\n)*╭─ 1 ─(.|\n)*╭─ 2 ─(.|\n)*Which is better")
    first.keys("1", "2", "t", "u", "s")
    first.wait_for(r"3 of 14 rated +\(2 pairs, 0 ties, 1 skipped\)")
    for pid in first.pids()[1:]:
        os.kill(pid, signal.SIGKILL)
    first.close()

    second = open_terminal(*rate, size=(120, 40))
    second.wait_for(r"2 of 14 rated(.|\n)*Where does 3 live")
    second.keys(*"12" * 5, "1")
    second.wait_for(r"13 of 14 rated(.|\n)*Where does 2 live")
    second.keys("t")
    second.wait_for(r"14 of 14 rated +\(13 pairs, 1 ties, 0 skipped\)(.|\n)*Every pair is rated")
    second.keys("Escape")
    second.wait_for(r"14 of 14 rated; the pairs stand in pairs.jsonl(.|\n)*left with code 0")

    settings = ("objective.kind=dpo", "train.max_steps=3", "data.validation=0")
    arguments = [part for setting in settings for part in ("--set", setting)]
    done = ftui("launch", "--model", "demo", "--data", "pairs.jsonl", *arguments, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    steps = [event.step for event in history(find(json.loads(done.stdout)["run"])) if event.kind == "metric"]
    assert steps == [1, 2, 3]
