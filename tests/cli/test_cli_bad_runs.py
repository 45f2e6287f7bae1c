"""Runs that are none, homes and disks that take nothing: one sentence with a remedy, and each end has its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ftui.runs.folder import Run

LONG = "x" * 5000

# --- runs

IDS = ["../../etc", "/etc", "..", ".", "", "nope", "a\0b", "no-run", "broken", "file", "link", LONG, "\x1b[31m", "20"]


@pytest.mark.parametrize("verb", ["show", "stop", "resume", "delete", "log"])
def test_what_names_no_run_touches_nothing(refusal, live: Run, failed: Run, own_home: Path, verb: str) -> None:
    runs = own_home / "runs"
    (runs / "no-run").mkdir()
    (runs / "broken").mkdir()
    (runs / "broken" / "run.json").write_bytes(b"\xff\x00{")
    (runs / "file").write_text("x")
    (runs / "link").symlink_to("/etc")
    before = sorted(path.relative_to(runs) for path in runs.rglob("*") if "link" not in path.parts)
    for wrong in (*IDS, f"../runs/{live.id}", str(live.path), f"{live.id}/.."):
        refusal("runs", verb, wrong)
    assert sorted(path.relative_to(runs) for path in runs.rglob("*") if "link" not in path.parts) == before


def test_a_run_that_lives_is_neither_deleted_nor_resumed(refusal, live: Run) -> None:
    assert "Stop it first" in refusal("runs", "delete", "alpha", "--yes")
    assert "nothing to resume" in refusal("runs", "resume", "alpha")
    assert live.path.is_dir()


def test_a_run_that_is_over_is_not_stopped(refusal, failed: Run) -> None:
    assert "not running" in refusal("runs", "stop", "beta")
    assert "never started" in refusal("runs", "log", "beta")
    assert "no result" in refusal("try", "beta", "Hello!")


@pytest.mark.parametrize("name", ["events.jsonl", "heartbeat", "recipe.yaml", "plan.json", "asked.yaml"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\0" * 50, b"[]\n{}\n1\n", b'{"v": 1}\n' * 3])
def test_a_run_with_broken_files_is_still_listed(ftui, failed: Run, name: str, content: bytes) -> None:
    (failed.path / name).write_bytes(content)
    code, out, _ = ftui("runs", "list", "--json")
    assert code == 0
    assert [row["run"] for row in json.loads(out)] == [failed.id]
    code, out, err = ftui("runs", "show", failed.id, "--json")
    assert code in (0, 2)
    assert json.loads(out)
    assert "defect" not in err


def test_deleting_asks_and_a_no_leaves_everything(refusal, failed: Run, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert "Nothing was removed" in refusal("runs", "delete", "beta", as_json=False)
    assert failed.path.is_dir()


# --- homes and disks

HOME_COMMANDS = ["runs list", "launch cpu-demo", "models show demo", "plan -m demo", "models download demo", "presets"]


@pytest.mark.parametrize("command", HOME_COMMANDS)
def test_a_home_that_is_a_file(refusal, tmp_path: Path, monkeypatch, command: str) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("FTUI_HOME", str(tmp_path / "file"))
    assert "FTUI_HOME" in refusal(*command.split())
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", HOME_COMMANDS[1:5])
def test_a_home_that_cannot_be_written(refusal, monkeypatch, command: str) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("/proc is where nobody may write, root neither; it isn't here")
    monkeypatch.setenv("FTUI_HOME", "/proc/ftui-home")
    assert "FTUI_HOME" in refusal(*command.split())


def test_a_home_of_nobody(refusal, monkeypatch) -> None:
    monkeypatch.setenv("FTUI_HOME", "~nobody-here/ftui")
    assert "no such user" in refusal("runs", "list")


def test_no_home_at_all(ftui, monkeypatch) -> None:
    for name in ("FTUI_HOME", "HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    code, out, _ = ftui("recipe", "check", "tickets", "--json")
    assert code == 0
    assert json.loads(out)["ok"]


def test_a_full_disk_is_seen_before_the_launch(refusal, quick, own_home: Path, monkeypatch) -> None:
    class Usage:
        total, used, free = 10, 10, 0

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    message = refusal("launch", "cpu-demo")
    assert "of disk" in message
    assert "0 B free" in message
    assert not (own_home / "runs").exists()


def test_a_disk_that_fills_up_while_the_run_is_written_leaves_no_half_of_it(
    refusal, quick, own_home: Path, monkeypatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ftui.runs.folder.write_atomic", full)
    assert "No space left" in refusal("launch", "cpu-demo")
    assert list((own_home / "runs").iterdir()) == []


# --- exit codes: 0 and 2 stand above

def test_a_failed_run_is_exit_code_1(ftui, failed: Run) -> None:
    code, out, _ = ftui("watch", failed.id, "--plain")
    assert code == 1
    assert "Mend it." in out
    assert ftui("runs", "show", failed.id)[0] == 0


def test_waiting_for_a_run_that_fails_is_exit_code_1(ftui, failed: Run, monkeypatch) -> None:
    monkeypatch.setattr("ftui.runs.control.start", lambda run: None)
    code, out, err = ftui("runs", "resume", failed.id, "--wait", "--json")
    assert code == 1
    assert json.loads(out)["status"] == "failed"
    assert "It broke." in err


def test_an_interrupt_while_waiting_leaves_the_run_alone(ftui, failed: Run, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftui.runs.control.start", lambda run: None)
    monkeypatch.setattr("ftui.cli.waiting.wait", interrupted)
    code, out, err = ftui("runs", "resume", failed.id, "--wait", "--json")
    assert code == 130
    assert json.loads(out)["run"] == failed.id
    assert "goes on" in err


def test_an_interrupt_anywhere_is_exit_code_130(ftui, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftui.hardware.probe", interrupted)
    code, out, err = ftui("probe", "--json")
    assert code == 130
    assert json.loads(out)["error"]["what"] == "Interrupted."
    assert "Traceback" not in err


def test_a_defect_is_named_as_such_and_debug_shows_it(ftui, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("ftui.hardware.probe", broken)
    code, out, err = ftui("probe", "--json")
    assert code == 1
    assert "--debug" in json.loads(out)["error"]["hint"]
    assert "Traceback" not in err
    with pytest.raises(ZeroDivisionError):
        ftui("--debug", "probe")
