"""A run is its owner's: nobody else's commands are obeyed, nobody else's run is touched, and no link leads out of one.

With root's rights the strangers are real ones; without, they are stood in for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ftui.errors import BadInput, Refused
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs import control, owner
from ftui.runs.control import delete, resume, start, stop
from ftui.runs.document import Event
from ftui.runs.folder import Run, create, find, list_runs
from ftui.runs.follow import history
from ftui.runs.inbox import Command, send, take
from ftui.runs.writer import RunWriter
from ftui.worker.__main__ import main
from ftui.worker.context import JobContext

STRANGER = 61_234
REAL = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture(params=["real", "stood in for"])
def of_another(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Make a run somebody else's."""
    if request.param == "real" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")

    def give(run: Run) -> None:
        if request.param == "real":
            os.chown(run.path, STRANGER, STRANGER)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
            monkeypatch.setattr(owner, "_ours_in", lambda folder: STRANGER)

    return give


@pytest.mark.parametrize("act", [
    start, resume, stop, delete, lambda run: send(run, "stop"), lambda run: stop(run, now=True),
    lambda run: control.set_aside([run]),
], ids=["start", "resume", "stop", "delete", "send", "kill", "set aside"])
def test_another_s_run_is_neither_started_nor_stopped_nor_changed_nor_removed(
    run: Run, of_another: Callable[[Run], None], act: Callable[[Run], object]
) -> None:
    before = sorted(path.name for path in run.path.iterdir())
    of_another(run)
    with pytest.raises(Refused, match=r"only .* can start, stop, change or remove it"):
        act(run)
    assert sorted(path.name for path in run.path.iterdir()) == before
    assert list(run.inbox.iterdir()) == []


def test_a_filesystem_that_gives_every_file_one_owner_is_no_stranger(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    owner.require_own(run)


def commands_of(run: Run) -> tuple[list[Command], list[Event]]:
    """What a worker of `run` is told to do by what lies in its inbox now, and what it warns of."""
    told: list[Command] = []

    def job(context: JobContext) -> None:
        told.extend(context.commands())
        told.extend(context.commands())

    assert main(run.path, job) == 0
    return told, [event for event in history(run) if event.kind == "warning"]


@REAL
def test_a_stranger_s_command_is_not_obeyed_and_told_of_once(run: Run) -> None:
    run.path.chmod(0o777)
    run.inbox.chmod(0o777)
    for number in range(2):
        (run.inbox / f"{number}.json").write_text('["stop", {}]')
        os.chown(run.inbox / f"{number}.json", STRANGER, STRANGER)
    send(run, "evaluate")
    told, warnings = commands_of(run)
    assert told == [Command("evaluate")]
    assert len(warnings) == 2
    assert "not from this run's owner" in warnings[0].data["text"]
    assert "chmod 700" in warnings[0].data["hint"]
    assert list(run.inbox.iterdir()) == []


def test_a_stranger_s_command_is_told_of_where_strangers_are_stood_in_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(run, "stop")
    seen = os.lstat

    def lstat(path: object, **given: object) -> os.stat_result:
        found = seen(path, **given)  # type: ignore[call-overload]
        return os.stat_result((*found[:4], STRANGER, *found[5:])) if str(path).endswith(".json") else found

    monkeypatch.setattr(os, "lstat", lstat)
    taken = take(run.path)
    assert taken.commands == []
    assert len(taken.foreign) == 1


@REAL
def test_a_stranger_s_link_to_one_of_our_commands_is_not_obeyed(run: Run, tmp_path: Path) -> None:
    ours = tmp_path / "ours.json"
    ours.write_text('["stop", {}]')
    (run.inbox / "1.json").symlink_to(ours)
    os.chown(run.inbox / "1.json", STRANGER, STRANGER, follow_symlinks=False)
    assert take(run.path).commands == []
    assert ours.exists()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder that must come out of it as it went in."""
    folder = tmp_path / "elsewhere"
    (folder / "checkpoint-1").mkdir(parents=True)
    (folder / "checkpoint-1" / "weights").write_text("precious")
    yield folder
    assert (folder / "checkpoint-1" / "weights").read_text() == "precious"
    assert [path.name for path in folder.iterdir()] == ["checkpoint-1"]


@pytest.mark.parametrize("name", ["checkpoints", "output", "cache", "inbox", "events.jsonl", "worker.log"])
def test_a_run_with_a_link_that_leads_out_of_it_is_not_worked_on(run: Run, elsewhere: Path, name: str) -> None:
    if name == "inbox":
        run.inbox.rmdir()
    (run.path / name).symlink_to(elsewhere if "." not in name else elsewhere / "new")
    with pytest.raises(Refused, match="in its own folder alone"):
        start(run)
    with pytest.raises(Refused, match="in its own folder alone"), RunWriter(run.path):
        pass
    assert main(run.path, lambda context: None) == 2


def test_deleting_a_run_removes_its_links_and_not_what_they_lead_to(run: Run, elsewhere: Path) -> None:
    main(run.path, lambda context: None)
    (run.path / "checkpoints").symlink_to(elsewhere)
    (run.path / "output").mkdir()
    (run.path / "output" / "link").symlink_to(elsewhere)
    delete(run)
    assert not run.path.exists()


def test_a_linked_run_folder_is_no_run(run: Run, elsewhere: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    run.path.rename(moved)
    run.path.symlink_to(moved)
    assert list_runs() == []
    with pytest.raises(Refused, match="no folder but a link"):
        delete(run)
    assert (moved / "run.json").exists()


@pytest.mark.parametrize("name", [
    "../../up", "/etc/passwd", "..", ".", "a/b", "a\0b", "a\nb", "-rf", "~root", "x" * 5000, "\u202eevil", "$(id)", "",
])
def test_no_name_of_a_run_leads_out_of_the_runs_folder(name: str, own_home: Path) -> None:
    run = create("train", name, command="", recipe=assign(Recipe(), {"name": name}))
    assert run.path.parent == own_home / "runs"
    assert run.path.name.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
    assert [path.name for path in (own_home / "runs").iterdir()] == [run.id]


@pytest.mark.parametrize("text", ["../..", "/etc", ".", "..", "../runs", "\0"])
def test_no_reference_to_a_run_leads_out_of_the_runs_folder(run: Run, text: str) -> None:
    with pytest.raises(BadInput):
        find(text)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_whatever_the_umask_a_run_s_folder_is_its_owner_s_alone(own_home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        run = create("count", "x", command="", args={})
        send(run, "stop")
    finally:
        os.umask(before)
    folders = [own_home, own_home / "runs", run.path, run.inbox]
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}
    files = [path for path in own_home.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


def test_what_was_open_to_others_below_the_home_is_closed_and_a_given_home_is_left(own_home: Path) -> None:
    (own_home / "runs").mkdir(parents=True)
    for path in (own_home, own_home / "runs"):
        path.chmod(0o777)
    create("count", "x", command="", args={})
    assert own_home.stat().st_mode & 0o777 == 0o777
    assert (own_home / "runs").stat().st_mode & 0o777 == 0o700


