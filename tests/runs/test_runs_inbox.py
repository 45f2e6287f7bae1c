"""Commands to a worker: in order, once, and only what is a command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.errors import BadInput, Refused
from ftui.runs import inbox
from ftui.runs.folder import Run
from ftui.runs.inbox import Command, send, take


def test_commands_are_taken_once_and_in_order(run: Run) -> None:
    send(run, "evaluate")
    send(run, "sample", prompt="größer?")
    send(run, "stop")
    assert take(run.path).commands == [Command("evaluate"), Command("sample", {"prompt": "größer?"}), Command("stop")]
    assert take(run.path).commands == []


def test_an_unknown_command_is_refused_by_name(run: Run) -> None:
    with pytest.raises(BadInput, match="Known: stop, checkpoint, evaluate, sample"):
        send(run, "explode")  # type: ignore[arg-type]


def test_what_is_no_command_is_removed_and_left_out(run: Run, tmp_path: os.PathLike[str]) -> None:
    (run.inbox / "1-bad.json").write_text('["rm", {}]')
    (run.inbox / "2-list.json").write_text('["stop"]')
    secret = run.path / "secret"
    secret.write_text('["stop", {}]')
    (run.inbox / "3-link.json").symlink_to(secret)
    os.mkfifo(run.inbox / "4-pipe.json")
    send(run, "stop")
    assert take(run.path).commands == [Command("stop")]
    assert secret.exists()


def test_a_file_that_is_being_written_is_left_alone(run: Run) -> None:
    (run.inbox / ".5.json.tmp").write_text('["stop", {}]')
    assert take(run.path).commands == []
    assert (run.inbox / ".5.json.tmp").exists()


def test_a_cleared_inbox_and_a_missing_one_are_empty(run: Run) -> None:
    send(run, "stop")
    inbox.clear(run.path)
    assert take(run.path).commands == []
    run.inbox.rmdir()
    assert take(run.path).commands == []


def test_a_link_in_the_inbox_s_place_has_nothing_emptied(run: Run, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years of work")
    (precious / "1.json").write_text('["stop", {}]')
    run.inbox.rmdir()
    run.inbox.symlink_to(precious)
    assert take(run.path).commands == []
    inbox.clear(run.path)
    assert len(list(precious.iterdir())) == 2
    with pytest.raises(Refused, match="is a link to"):
        send(run, "stop")


def test_a_folder_in_the_inbox_and_a_huge_file_are_no_commands(run: Run) -> None:
    (run.inbox / "1.json").mkdir()
    (run.inbox / "2.json").write_text('["stop", {"text": "' + "x" * inbox.LIMIT_BYTES + '"}]')
    send(run, "evaluate")
    assert take(run.path).commands == [Command("evaluate")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_in_the_inbox_are_a_command_or_nothing(run: Run, content: bytes) -> None:
    (run.inbox / "1.json").write_bytes(content)
    assert take(run.path).commands == []
