"""`ftui runs`: the filter and the order, tags and notes, and bringing back what an app has left deleted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer

from ftui.recipe import parse
from ftui.runs import control, notes, trash
from ftui.runs.folder import Run, create, list_runs

Ftui = Callable[..., tuple[int, str, str]]


def made(name: str, loss: float, base: str = "Qwen/Qwen3-8B", status: str = "finished", **info: Any) -> Run:
    """A training that has ended with this loss."""
    recipe = parse(f"name: {name}\nmodel: {{base: {base}}}\ndata: {{sources: [{{path: x.jsonl}}]}}\n")
    run = create("train", name, command="x", recipe=recipe, **info)
    lines = [("metric", {"loss": loss}), ("evaluation", {"eval_loss": loss + 0.1, "best": True}),
             ("end", {"status": status, "text": "It ended.", "metrics": {}, "output": None})]
    run.events.write_text("".join(
        json.dumps({"seq": n, "attempt": 1, "time": run.info.created + n, "kind": kind, "step": 5, "data": data}) + "\n"
        for n, (kind, data) in enumerate(lines, 1)
    ))
    return run


@pytest.fixture
def three() -> list[Run]:
    """Three trainings, the first the best."""
    return [made("one", 0.5), made("two", 1.5, status="failed"), made("three", 1.0, base="meta-llama/Llama-3.2-1B")]


def names(out: str) -> list[str]:
    return [row["name"] for row in json.loads(out)]


@pytest.mark.usefixtures("three")
def test_the_list_is_filtered_and_sorted_by_what_the_runs_are(ftui_: Ftui) -> None:
    assert names(ftui_("runs", "--json")[1]) == ["three", "two", "one"]
    assert names(ftui_("runs", "--sort", "loss", "--json")[1]) == ["one", "three", "two"]
    assert names(ftui_("runs", "list", "-s", "best", "--reverse", "--json")[1]) == ["two", "three", "one"]
    assert names(ftui_("runs", "--filter", "state:finished loss<0.9", "--json")[1]) == ["one"]
    assert names(ftui_("runs", "-f", "model:llama,other", "--json")[1]) == ["three"]
    assert names(ftui_("runs", "-f", "-model:llama -two", "--json")[1]) == ["one"], "no option, but a word's opposite"
    code, out, _ = ftui_("runs", "-f", "state:failed")
    assert code == 0
    assert "two" in out
    assert "one" not in out
    assert ftui_("runs", "-f", "nothing")[1] == "No run fits the filter.\n"


def test_a_row_tells_base_method_best_tags_and_note(ftui_: Ftui, three: list[Run]) -> None:
    notes.tag(three[0], ["good"])
    notes.note(three[0], "as hoped")
    row = json.loads(ftui_("runs", "-f", "one", "--json")[1])[0]
    told = {name: row[name] for name in ("model", "method", "best", "tags", "note")}
    assert told == {"model": "Qwen/Qwen3-8B", "method": "sft lora", "best": 0.6, "tags": ["good"], "note": "as hoped"}
    shown = ftui_("runs")[1]
    assert "tags and note" in shown
    assert "good  as hoped" in shown
    notes.note(three[0], "as hoped\n" + "and much more " * 20)
    assert "good  as hoped and much more" in ftui_("runs")[1]
    assert ftui_("runs")[1].count("more") < 6
    assert "as hoped" in ftui_("runs", "show", "one")[1]
    assert json.loads(ftui_("runs", "show", "one", "--json")[1])["tags"] == ["good"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--filter", "stat:failed"], "Did you mean state?"),
        (["--filter", "loss<abc"], "Write loss<1.2."),
        (["list", "--sort", "colour"], "no 'colour' to sort by"),
        (["tag", "one", "two words"], "can be no tag"),
        (["restore", "one"], "No deleted run"),
        (["restore", "one", "--discard"], "No deleted run"),
    ],
)
@pytest.mark.usefixtures("three")
def test_what_can_not_be_read_is_one_sentence_and_exit_code_2(ftui_: Ftui, words: list[str], says: str) -> None:
    code, out, err = ftui_("runs", *words)
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.usefixtures("three")
def test_tags_and_notes_are_put_and_taken_away(ftui_: Ftui) -> None:
    assert ftui_("runs", "tag", "one", "+good", "draft", "cheap")[1].endswith("good draft cheap\n")
    assert ftui_("runs", "tag", "one", "-cheap", "-draft")[1].endswith(": good\n"), "-h within a tag asks for no help"
    told = json.loads(ftui_("runs", "note", "one", "a\nb", "--json")[1])
    assert (told["tags"], told["note"]) == (["good"], "a\nb")
    assert ftui_("runs", "note", "one")[1].endswith(": good\na\nb\n")
    assert json.loads(ftui_("runs", "note", "one", "", "--json")[1])["note"] == ""
    assert ftui_("runs", "tag", "two")[1].endswith(": no tags\n")


def test_the_stages_of_a_run_stand_below_it_and_are_found_by_themselves(ftui_: Ftui) -> None:
    whole = create("stages", "whole", command="x")
    made("stage", 1.0, args={"stage": 0, "name": "sft"}, parent=whole.id)
    (row,) = json.loads(ftui_("runs", "--json")[1])
    assert [stage["name"] for stage in row["stages"]] == ["stage"]
    assert names(ftui_("runs", "--filter", "loss<2", "--json")[1]) == ["stage"]


def test_deleting_asks_with_the_size_and_says_what_was_freed(
    ftui_: Ftui, three: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    (three[0].path / "worker.log").write_bytes(b"x" * 3_000_000)
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda question: asked.append(question) or True)
    assert "3 MiB freed" in ftui_("runs", "delete", "one")[1]
    assert "(3 MiB) for good?" in asked[0]
    assert json.loads(ftui_("runs", "delete", "two", "--json")[1])["freed_bytes"] > 0
    assert [run.info.name for run in list_runs()] == ["three"]
    assert ftui_("runs", "restore")[1] == "No deleted run can be brought back.\n"


def test_what_an_app_has_left_deleted_is_listed_and_brought_back(ftui_: Ftui, three: list[Run]) -> None:
    script = (
        "import os, sys; from pathlib import Path; from ftui.runs import control; from ftui.runs.folder import Run\n"
        "control.set_aside([Run(Path(path)) for path in sys.argv[1:]]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, *(str(run.path) for run in three[:2])], check=False)
    shown = ftui_("runs", "restore")[1]
    assert three[0].id in shown
    assert "kept until" in shown
    (told,) = json.loads(ftui_("runs", "restore", "--json")[1])
    assert sorted(told["runs"]) == sorted(run.id for run in three[:2])
    assert told["until"] - told["deleted"] == trash.KEPT_DAYS * 86400
    assert f"{three[1].id} is back." in ftui_("runs", "restore", "last")[1]
    assert len(list_runs()) == 3

    control.set_aside([three[2]])
    assert "when the app that deleted it is left" in ftui_("runs", "restore")[1]
    assert ftui_("runs", "restore", "--discard", "--yes")[1] == "There is nothing to remove.\n", "its app is open"
    assert json.loads(ftui_("runs", "restore", "three", "--discard", "--json")[1])["runs"] == [three[2].id]
    assert not trash.folder().exists()
