"""What outlives a logout, on systems told as small commands on the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftui.runs import logout
from ftui.runs.logout import Survival, survival


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A login of logind's for an ordinary user; the folder returned is the whole path."""
    commands = tmp_path / "bin"
    commands.mkdir()
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_SESSION_ID", "3")
    monkeypatch.setattr(logout, "SYSTEMD", tmp_path)
    monkeypatch.setattr(logout, "FIRST_PROCESS", tmp_path / "comm")
    (tmp_path / "comm").write_text("systemd\n")
    monkeypatch.setattr(logout.os, "geteuid", lambda: 1000)
    return commands


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def loginctl(folder: Path, kills: str, lingers: str) -> None:
    command(folder, "loginctl", f'case "$1" in show-session) echo {kills};; show-user) echo {lingers};; esac')


def test_a_system_that_leaves_processes_alone_needs_nothing(system: Path) -> None:
    loginctl(system, "no", "no")
    assert survival() == Survival()


def test_a_killing_system_with_a_lingering_user_takes_a_scope(system: Path) -> None:
    loginctl(system, "yes", "yes")
    command(system, "systemd-run", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    found = survival()
    assert found.prefix[:3] == ("systemd-run", "--user", "--scope")
    assert found.warning is None


def test_a_killing_system_without_lingering_is_said_with_the_cure(system: Path) -> None:
    loginctl(system, "yes", "no")
    command(system, "systemd-run", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    found = survival()
    assert found.prefix
    assert "KillUserProcesses" in (found.warning or "")
    assert "enable-linger" in (found.hint or "")


def test_a_scope_that_does_not_work_is_not_used(system: Path) -> None:
    loginctl(system, "yes", "yes")
    command(system, "systemd-run", "exit 1")
    found = survival()
    assert found.prefix == ()
    assert found.warning


def test_a_hanging_login_manager_does_not_hold_up_the_launch(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logout, "SECONDS", 0.1)
    command(system, "loginctl", "exec sleep 60")
    assert survival() == Survival()


def test_outside_a_login_nothing_is_asked(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_SESSION_ID")
    command(system, "loginctl", "echo yes")
    assert survival() == Survival()


def test_a_container_that_ends_with_its_shell_is_said(system: Path, tmp_path: Path) -> None:
    (tmp_path / "comm").write_text("bash\n")
    assert "container" in (survival().warning or "")
