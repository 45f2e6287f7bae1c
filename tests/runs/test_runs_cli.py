"""The commands: one JSON document, fixed exit codes, one sentence for what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftui.data
from ftui.cli.lines import line
from ftui.data.document import DataProfile, Source
from ftui.runs import control
from ftui.runs.document import Event
from ftui.runs.folder import Run, find, list_runs
from ftui.runs.status import status

KEYS = ["run", "status", "folder", "output", "metrics"]
Make = Callable[..., Run]


@pytest.fixture
def some_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the data room finds good, without reading it."""
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "x"}\n')
    found = DataProfile(
        sources=(Source(ref="x", rows=9, format="messages", confidence=1.0),), kind="conversation", rows=90
    )
    monkeypatch.setitem(vars(ftui.data), "profile", lambda sources, shape=None, **_: found)
    return path


@pytest.mark.usefixtures("counting")
def test_launch_and_wait_prints_the_one_document(ftui_: Any, some_data: Path) -> None:
    code, out, err = ftui_("launch", "cpu-demo", "--data", str(some_data), "--wait", "--json", "--name", "My run")
    document = json.loads(out)
    assert code == 0, err
    assert list(document) == KEYS
    assert document["status"] == "finished"
    assert document["metrics"]["train_loss"] == 0.1
    assert Path(document["output"]) == Path(document["folder"]) / "output"
    run = find(document["run"])
    assert run.info.name == "My run"
    assert run.info.command == f"ftui launch cpu-demo --name 'My run' --data {some_data}"


@pytest.mark.usefixtures("counting")
def test_launch_returns_at_once_with_the_status_so_far(ftui_: Any, some_data: Path) -> None:
    code, out, _ = ftui_("launch", "cpu-demo", "--data", str(some_data), "--json")
    document = json.loads(out)
    assert (code, list(document), document["metrics"]) == (0, KEYS, {})
    assert document["status"] in ("queued", "preparing", "running")
    assert control.wait(find("last")).state == "finished"


def test_a_dry_run_says_what_would_be_done_and_starts_nothing(ftui_: Any, some_data: Path) -> None:
    code, out, _ = ftui_("launch", "cpu-demo", "--data", str(some_data), "--dry-run")
    assert code == 0
    assert "max_steps: 80" in out
    assert f"ftui launch cpu-demo --data {some_data}" in out
    code, out, _ = ftui_("launch", "cpu-demo", "--data", str(some_data), "--dry-run", "--json")
    assert json.loads(out)["recipe"]["train"]["max_steps"] == 80
    assert list_runs() == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["launch", "cpu-dema"], "Did you mean cpu-demo"),
        (["launch", "missing.yaml"], "no recipe at"),
        (["launch", "cpu-demo", "--set", "train.epoch=3"], "epochs"),
        (["launch", "cpu-demo", "--set", "train.learning_rate=nan"], "learning_rate"),
        (["launch", "cpu-demo", "--set", "train"], "sets nothing"),
        (["launch"], "--model MODEL"),
        (["launch", "cpu-demo", "--max-hours", "0"], "max_hours"),
        (["launch", "--nonsense"], "nonsense"),
        (["runs", "show", "nothing"], "no runs yet"),
        (["runs", "explode"], "explode"),
        (["watch", "nothing", "--plain"], "no runs yet"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(ftui_: Any, words: list[str], says: str) -> None:
    code, out, err = ftui_(*words)
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    code, out, _ = ftui_(*words, "--json")
    assert code == 2
    assert json.loads(out)["error"]["what"]


def test_runs_lists_shows_and_deletes(ftui_: Any, make_run: Make) -> None:
    assert ftui_("runs")[1].startswith("There are no runs yet.")
    assert json.loads(ftui_("runs", "list", "--json")[1]) == []
    run = make_run("first")
    assert run.id in ftui_("runs")[1]
    (row,) = json.loads(ftui_("runs", "--json")[1])
    assert list(row)[:5] == KEYS
    document = json.loads(ftui_("runs", "show", "first", "--json")[1])
    assert (document["run"], document["command"], document["status"]) == (run.id, "ftui launch count", "queued")
    code, _, err = ftui_("runs", "delete", "first", "--json")
    assert (code, "queued" in err) == (2, True), "its launcher is about to start it"
    info = run.info.model_copy(update={"created": 1.0})
    (run.path / "run.json").write_text(info.to_json())
    assert json.loads(ftui_("runs", "delete", "first", "--json")[1])["status"] == "deleted"
    assert list_runs() == []
    assert not run.path.exists()


@pytest.mark.usefixtures("counting")
def test_a_failed_run_is_exit_code_1_with_its_sentence(ftui_: Any, make_run: Make) -> None:
    run = make_run(**{"at": 3, "raise": "gpu"})
    control.start(run)
    assert control.wait(run).state == "failed"
    code, out, _ = ftui_("watch", run.id, "--plain")
    assert code == 1
    assert "failed: The GPU ran out of memory" in out.splitlines()[-1]
    code, out, _ = ftui_("runs", "log", run.id)
    assert "Tried to allocate" in out
    assert len(json.loads(ftui_("runs", "log", run.id, "-n", "2", "--json")[1])["lines"]) == 2
    # It was thrown on the first attempt only: the resume goes on.
    code, out, _ = ftui_("runs", "resume", run.id, "--wait", "--json")
    assert (code, json.loads(out)["status"]) == (0, "finished")
    assert ftui_("watch", run.id, "--plain")[0] == 0
    code, _, err = ftui_("runs", "resume", run.id)
    assert (code, "has finished" in err) == (2, True)


@pytest.mark.usefixtures("counting")
def test_stop_saves_and_resume_goes_on(ftui_: Any, make_run: Make) -> None:
    run = make_run(steps=10_000, seconds=0.01)
    control.start(run)
    while (status(run).step or 0) < 3:
        time.sleep(0.05)
    code, out, _ = ftui_("runs", "stop", run.id)
    assert (code, "saves at the end of its step" in out) == (0, True)
    last = control.wait(run)
    assert (last.state, last.metrics["train_loss"]) == ("stopped", 1 / int((run.checkpoints / "last").read_text()))
    code, _, err = ftui_("runs", "stop", run.id)
    assert (code, "not running (stopped)" in err) == (2, True)


@pytest.mark.usefixtures("counting")
def test_an_interrupt_ends_the_waiting_and_not_the_run(ftui_: Any, make_run: Make) -> None:
    run = make_run(steps=10_000, seconds=0.01)
    control.start(run)
    control.stop(run)
    control.wait(run)
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    code, out, err = ftui_("runs", "resume", run.id, "--wait", "--json")
    timer.cancel()
    assert code == 130, err
    assert json.loads(out)["run"] == run.id
    assert "the run goes on" in err
    assert status(run).live
    assert control.stop(run, now=True, grace=5).state == "stopped"


@pytest.mark.usefixtures("counting")
def test_watch_in_a_pipe_prints_each_line_as_it_comes(make_run: Make) -> None:
    run = make_run(steps=40, seconds=0.05, save=100)
    control.start(run)
    watching = subprocess.Popen(
        [sys.executable, "-m", "ftui.cli.main", "watch", run.id], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True,
    )
    assert watching.stdout is not None
    lines = []
    for words in watching.stdout:
        lines.append((words, status(run).state))
    assert watching.wait() == 0
    assert "Starting." in lines[0][0]
    assert any("step     10  loss 0.1000" in words for words, _ in lines)
    assert any(state == "running" for _, state in lines), "the first lines came while it ran"
    assert "finished: Counted to 40." in lines[-1][0]


def test_a_pipe_that_closes_early_is_no_error(make_run: Make) -> None:
    for index in range(50):
        make_run(f"run {index}")
    done = subprocess.run(
        f"{sys.executable} -m ftui.cli.main runs | head -1", shell=True, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_text_from_models_and_data_cannot_reach_the_terminal() -> None:
    event = Event(
        seq=1, attempt=1, time=0, kind="sample", step=1, data={"prompt": "a\x1b]0;evil\x07\nb", "text": "\x9b31m" * 99}
    )
    words = line(event) or ""
    assert words.isprintable()
    assert "\\x1b" in words


def test_every_kind_of_event_has_its_line_even_with_nothing_in_it() -> None:
    for kind in Event.model_fields["kind"].annotation.__args__:  # type: ignore[union-attr]
        words = line(Event(seq=1, attempt=1, time=-1e300, kind=kind, step=None, data={}))
        assert words is None or words.isprintable()
    assert line(Event(seq=1, attempt=1, time=0, kind="metric", step=3, data={"loss": None})).endswith("loss nan")  # type: ignore[union-attr]
