"""Where the output goes: closed, full, cut off, in another encoding, to no terminal; and interrupts, and help."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ftui.cli.main import NOUNS

FTUI = f"{sys.executable} -m ftui.cli.main"
BOX = Path(__file__).parents[1] / "hardware" / "boxes" / "t4.json"
PLAN = f"plan -m Qwen/Qwen3-8B --hardware {BOX}"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of `line`; `ftui` stands for the command."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("ftui ", f"{FTUI} ")], capture_output=True, timeout=60,
        encoding="utf-8", errors="replace", env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("line", ["recipe schema", PLAN, "--help", "recipe show tickets"])
def test_a_reader_that_has_seen_enough_is_no_error(line: str) -> None:
    done = shell(f"ftui {line} | head -1")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("line", ["recipe schema", "presets --json --hardware " + str(BOX), "--version", "--help"])
def test_a_full_disk_behind_stdout_is_an_error_in_one_sentence(line: str) -> None:
    done = shell(f"ftui {line} > /dev/full")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--json" in line or done.stderr.startswith("ftui: No space left on device")


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_do_no_harm(closing: str) -> None:
    assert shell(f"ftui recipe schema {closing}").returncode == 0
    done = shell(f"ftui foo {closing}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert shell(f"ftui {closing}").returncode == 2


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)  # fmt: skip
def test_an_encoding_without_our_characters_loses_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    done = shell(f"ftui {PLAN}", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Qwen3-8B" in done.stdout
    whole = json.loads(shell(f"ftui {PLAN} --json").stdout)
    again = json.loads(shell(f"ftui {PLAN} --json", **environment).stdout)
    assert again["choices"] == whole["choices"]
    done = shell("ftui data show Überall --json", **environment)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["hint"]


def test_names_that_are_no_text_are_escaped() -> None:
    done = shell("ftui data show $'\\xff.jsonl' --json")
    assert done.returncode == 2
    assert "udcff" in json.loads(done.stdout)["error"]["what"]


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}, {"TERM": ""}])
@pytest.mark.parametrize("line", ["ftui ", "ftui demo"])
def test_without_a_terminal_the_commands_are_named(line: str, environment: dict[str, str]) -> None:
    done = shell(line, **environment)
    assert done.returncode == 2
    assert "ftui launch" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_color_means_no_escape_sequence(tmp_path: Path) -> None:
    for line in (PLAN, f"presets --hardware {BOX}", "--help"):
        assert "\x1b" not in shell(f"ftui {line}", NO_COLOR="1").stdout


def test_watching_without_a_terminal_prints_lines(own_home: Path) -> None:
    from ftui.runs.folder import create

    run = create("train", "beta", command="ftui launch")
    event = {"v": 1, "seq": 0, "attempt": 1, "time": 1.0, "kind": "end", "step": None,
             "data": {"status": "finished", "text": "Done.", "hint": None, "metrics": {}, "output": None}}
    run.events.write_text(json.dumps(event) + "\n")
    done = shell("ftui watch")
    assert done.returncode == 0
    assert "finished: Done." in done.stdout
    assert "\x1b" not in done.stdout


def test_an_interrupt_ends_a_command_with_130_and_no_traceback(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    # It reads its token from a pipe that nobody writes to.
    with open(os.open(tmp_path / "token", os.O_RDWR)) as pipe:
        child = subprocess.Popen([*FTUI.split(), "login", "--json"], stdin=pipe, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)  # fmt: skip
        _wait_until_idle(child.pid)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert json.loads(out)["error"]["what"] == "Interrupted."
    assert "Traceback" not in err


def _wait_until_idle(pid: int) -> None:
    """Until the process has started up and waits for something: it hasn't computed for a second."""
    process, before, quiet = psutil.Process(pid), -1.0, 0
    deadline = time.monotonic() + 20
    while quiet < 3 and time.monotonic() < deadline:
        time.sleep(0.3)
        now = process.cpu_times().user
        before, quiet = now, quiet + 1 if now == before else 0


def commands() -> list[str]:
    """Every noun and every verb of each."""
    from ftui.cli.main import build

    found: list[str] = []
    for noun in NOUNS:
        command = build([noun]).commands[noun]
        found += [noun, *(f"{noun} {verb}" for verb in getattr(command, "commands", {}))]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_explains_itself(ftui, monkeypatch, command: str) -> None:
    for columns in ("80", "20"):
        monkeypatch.setenv("COLUMNS", columns)
        code, out, err = ftui(*command.split(), "--help")
        assert (code, err) == (0, "")
        assert "Usage" in out
    assert ftui(*command.split(), "-h")[0] == 0


def test_help_names_every_command_with_what_it_does(ftui) -> None:
    code, out, _ = ftui("--help")
    assert code == 0
    for noun in NOUNS:
        assert noun in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_help_is_there_at_once() -> None:
    trivial = min(_cpu([sys.executable, "-c", "import typer, pydantic, rich.table"]) for _ in range(3))
    whole = min(_cpu([*FTUI.split(), "--help"]) for _ in range(3))
    assert whole < 2.5 * trivial + 0.2


def _cpu(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
