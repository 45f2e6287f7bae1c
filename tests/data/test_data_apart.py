"""The check-up in a process of its own: what it finds meanwhile, and that it ends at once when it is not wanted."""

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

from ftui.data import check, check_apart
from ftui.data.document import Finding
from ftui.data.expected import expected_rows
from ftui.data.given import Given
from ftui.errors import Refused
from ftui.models import describe


def talk(question: str, answer: str) -> dict[str, str]:
    return {"prompt": question, "completion": answer}


@pytest.fixture
def slow_loader(tmp_path: Path) -> str:
    """A loader of the user's own that says its process's number after 500 rows, and never comes to its end."""
    (tmp_path / "slow.py").write_text(
        "import itertools, os, time\n"
        "def load():\n"
        "    for n in itertools.count():\n"
        "        yield {'prompt': f'question {n % 200}', 'completion': 'answer'}\n"
        "        if n == 500:\n"
        f"            open({str(tmp_path / 'asleep')!r}, 'w').write(str(os.getpid()))\n"
        "        time.sleep(0.005 if n > 500 else 0)\n"
    )
    return f"{tmp_path / 'slow.py'}:load"


def wait_for(path: Path, seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)
    return path.read_text()


def is_gone(pid: int, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_check_up_made_apart_equals_one_made_here(jsonl: Callable[..., str]) -> None:
    path = jsonl(talk("a", "b"), talk("a", "b"), "{", talk("mail me", "at ann.lee@posteo.de"))
    seen: list[tuple[Any, ...]] = []
    apart = check_apart(path, deep=True, rank=8, on_progress=lambda *progress: seen.append(progress))
    assert apart == check(path, deep=True, rank=8)
    assert {"duplicates", "bad-rows", "personal-data", "rank"} <= {finding.name for finding in apart.findings}


def test_what_was_found_so_far_is_told_before_all_rows_are_read(slow_loader: str, tmp_path: Path) -> None:
    """The loader never comes to its end, so that what is told comes from the first rows."""
    told: list[tuple[int, tuple[Finding, ...]]] = []
    cancelled = threading.Event()

    def found(rows: int, findings: tuple[Finding, ...]) -> None:
        told.append((rows, findings))
        if any(finding.name == "duplicates" for finding in findings):
            cancelled.set()

    with pytest.raises(Refused, match="cancelled"):
        check_apart(slow_loader, on_found=found, cancelled=cancelled)
    assert told[0][0] > 0


def test_a_cancelled_check_up_ends_with_the_loader_that_it_started(slow_loader: str, tmp_path: Path) -> None:
    cancelled, ended = threading.Event(), list[float]()

    def run() -> None:
        with pytest.raises(Refused):
            check_apart(slow_loader, cancelled=cancelled)
        ended.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    loader = int(wait_for(tmp_path / "asleep"))
    asked = time.monotonic()
    cancelled.set()
    thread.join(30)
    # It takes a tenth of a second; how busy the machine is must not decide the test.
    assert ended
    assert ended[0] - asked < 10
    assert is_gone(loader)


def test_ctrl_c_ends_a_check_up_of_the_command_line(slow_loader: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    check_up = ["data", "check", slow_loader, "--repair", "all", "--write", "r.yaml"]
    command = [sys.executable, "-m", "ftui.cli.main", *check_up]
    child = subprocess.Popen(
        command, cwd=tmp_path / "here", env=os.environ | {"TMPDIR": str(tmp_path / "here")}, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    loader = int(wait_for(tmp_path / "asleep"))
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "ftui: Interrupted.\n")
    assert is_gone(loader)
    assert list((tmp_path / "here").iterdir()) == []


def test_how_many_rows_there_will_be_is_told_at_once(jsonl: Callable[..., str], tmp_path: Path) -> None:
    path = jsonl(*(talk("q", "a" * (n % 50)) for n in range(20_000)))
    expected = expected_rows([Given(path)])
    assert expected is not None
    assert abs(expected - 20_000) < 600
    assert expected_rows([Given(path, limit=7)]) == 7
    (tmp_path / "list.json").write_text(json.dumps([talk("q", "a")]))
    assert expected_rows([Given(path), Given(str(tmp_path / "list.json"))]) is None


def test_rows_of_which_nothing_would_be_trained_are_an_error_where_they_are_all(
    jsonl: Callable[..., str], tmp_path: Path
) -> None:
    template = tmp_path / "questions.jinja"
    template.write_text(
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% generation %}{% endgeneration %}"
        "{% endif %}{% endfor %}"
    )
    found = check(jsonl(talk("a", "b"), talk("c", "d")), describe("demo"), template=str(template)).findings
    assert [(finding.name, finding.count) for finding in found if finding.severity == "error"] == [
        ("mask", 1), ("nothing-trained", 2)
    ]
