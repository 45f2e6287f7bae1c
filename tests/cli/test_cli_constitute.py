"""`ftui constitute`: what can't go well is refused before anything starts, the rest becomes a run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.runs.folder import Run, create, list_runs

Ftui = Callable[..., tuple[int, str, str]]


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "How do bees fly?"}\n')
    return str(path)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs whose workers would have been started."""
    from ftui.runs import control

    found: list[Run] = []
    monkeypatch.setattr(control, "start", found.append)
    return found


def refused(ftui: Ftui, *words: str) -> str:
    code, out, err = ftui("constitute", *words)
    assert code == 2, out + err
    assert list_runs() == []
    return err


def test_a_run_holds_all_that_was_asked_and_the_line_that_makes_it_again(
    ftui: Ftui, prompts: str, started: list[Run], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {name: kind, critique: What is unkind?, revise: Say it kindly.}\n")
    code, out, _ = ftui("constitute", "--model", "demo", "--data", prompts, "--constitution", str(rules), "--out",
                        str(tmp_path / "a folder"), "--rounds", "3", "--judge", "--json")
    assert code == 0
    (run,) = started
    assert json.loads(out)["run"] == run.id
    args: dict[str, Any] = run.info.args
    assert run.info.kind == "constitute"
    assert args["constitution"] == [{"name": "kind", "critique": "What is unkind?", "revise": "Say it kindly."}]
    assert (args["model"], args["run"], args["rounds"], args["judge"]) == ("demo", None, 3, True)
    assert args["out"] == str(tmp_path / "a folder")
    words = shlex.split(run.info.command)
    assert ftui(*words[1:])[0] == 0
    assert started[1].info.args == args


def test_without_a_file_the_constitution_that_ships_is_taken(ftui: Ftui, prompts: str, started: list[Run]) -> None:
    assert ftui("constitute", "-m", "demo", "-d", prompts)[0] == 0
    assert "honest" in [principle["name"] for principle in started[0].info.args["constitution"]]


def test_what_can_not_go_well_is_refused_before_anything_starts(ftui: Ftui, prompts: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {name: kind, critique: What is unkind?}\n")
    given = ("-m", "demo", "-d", prompts)
    assert "rules.yaml, line 1: the principle has no revise" in refused(ftui, *given, "--constitution", str(rules))
    assert "no constitution at" in refused(ftui, *given, "--constitution", str(tmp_path / "none.yaml"))
    (tmp_path / "pairs.jsonl").write_text("mine")
    assert "pairs.jsonl is there already" in refused(ftui, *given, "--out", str(tmp_path))
    assert "is a file" in refused(ftui, *given, "--out", prompts)
    assert "--quantization" in refused(ftui, *given, "--quantization", "int3")
    assert "none.jsonl" in refused(ftui, "-m", "demo", "-d", str(tmp_path / "none.jsonl"))
    assert "no runs yet" in refused(ftui, "-m", "support", "-d", prompts)


def test_a_run_without_a_result_can_not_be_asked(ftui: Ftui, prompts: str, started: list[Run]) -> None:
    create("train", "support", command="ftui launch")
    code, _, err = ftui("constitute", "-m", "support", "-d", prompts)
    assert code == 2
    assert "has no model that could be asked" in err
    assert started == []
