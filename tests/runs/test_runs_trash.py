"""Deleting that can be undone: nothing is lost before it is meant to be, and nothing stays for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.errors import BadInput, Refused
from ftui.paths import runs_dir
from ftui.runs import control, trash
from ftui.runs.folder import Run, create, list_runs

Make = Callable[..., Run]


def over(run: Run) -> Run:
    """`run`, made so long ago that nobody waits for its worker any more, with something in it."""
    info = run.info.model_copy(update={"created": run.info.created - 1000})
    (run.path / "run.json").write_text(info.to_json())
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "weights").write_bytes(b"x" * 100_000)
    return Run(run.path)


def contents(run: Run) -> dict[str, bytes]:
    """The files of a run but for locks."""
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in run.path.rglob("*") if path.is_file() and path.name != ".starting"
    }


def cut_off(script: str, *words: str) -> None:
    """Run Python that deletes, and ends without leaving as an app does."""
    subprocess.run([sys.executable, "-c", f"{script}\nimport os; os._exit(9)", *words], check=False)


DELETE = (
    "import sys; from pathlib import Path; from ftui.runs import control; from ftui.runs.folder import Run\n"
    "control.set_aside([Run(Path(path)) for path in sys.argv[1:]])"
)


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_was_put_aside_is_in_no_list_and_comes_back_as_it_was(make_run: Make) -> None:
    run, other = over(make_run("one")), over(make_run("two"))
    before = contents(run)
    aside = control.set_aside([run])
    assert [each.id for each in list_runs()] == [other.id]
    assert not run.path.exists()
    assert (aside.named, [each.id for each in aside.runs]) == (("one",), [run.id])
    assert aside.size >= 100_000
    assert trash.undoable() == [aside]
    assert [each.id for each in trash.restore(aside)] == [run.id]
    assert contents(run) == before
    assert not trash.folder().exists()


def test_several_are_one_deletion_and_deletions_come_back_last_first(make_run: Make) -> None:
    runs = [over(make_run(name)) for name in "abc"]
    control.set_aside(runs[:2])
    control.set_aside(runs[2:])
    assert [aside.named for aside in trash.undoable()] == [("c",), ("a", "b")]
    trash.restore(trash.undoable()[0])
    trash.restore(trash.undoable()[0])
    assert {run.id for run in list_runs()} == {run.id for run in runs}


def test_the_stages_of_a_run_go_and_come_with_it(make_run: Make) -> None:
    whole = over(create("stages", "whole", command="x"))
    stages = [
        over(create("count", f"stage {n}", args={"stage": n, "name": f"s{n}"}, parent=whole.id, command="x"))
        for n in range(2)
    ]
    aside = control.set_aside([whole])
    assert list_runs() == []
    assert aside.named == ("whole",)
    trash.restore(aside)
    assert [stage.id for stage in whole.stages()] == [stage.id for stage in stages]


def test_of_several_none_goes_where_one_may_not(make_run: Make) -> None:
    run, live = over(make_run("one")), make_run("just made")
    with pytest.raises(Refused, match="is queued"):
        control.set_aside([run, live])
    assert {each.id for each in list_runs()} == {run.id, live.id}
    assert trash.asides() == []


def test_a_rename_that_fails_puts_the_others_back(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [over(make_run(name)) for name in "ab"]
    rename = os.rename

    def second_fails(source: Path, target: Path) -> None:
        if Path(source) == runs[1].path:
            raise PermissionError(13, "Permission denied", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(Refused, match="Permission denied"):
        control.set_aside(runs)
    assert len(list_runs()) == 2
    assert trash.asides() == []


def test_deleting_for_good_frees_the_space_and_leaves_what_can_be_brought_back(make_run: Make) -> None:
    kept, gone = over(make_run("kept")), over(make_run("gone"))
    aside = control.set_aside([kept])
    assert control.delete(gone) >= 100_000
    assert trash.asides() == [aside]
    assert [path.name for path in trash.folder().iterdir()] == [aside.folder.name]


def test_leaving_makes_it_final_and_a_process_apart_frees_the_space(make_run: Make) -> None:
    run = over(make_run("one"))
    aside = control.set_aside([run])
    assert trash.leave() == [aside]
    assert trash.asides() == []
    with pytest.raises(Refused, match="can't be undone any more"):
        trash.restore(aside)
    wait_until(lambda: not trash.folder().exists())


def test_an_app_that_was_cut_off_leaves_its_deletions_to_the_next_for_seven_days(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, mine = over(make_run("one")), over(make_run("mine"))
    cut_off(DELETE, str(run.path))
    assert [each.id for each in list_runs()] == [mine.id]
    (aside,) = trash.undoable()
    assert (aside.mine, aside.left) == (False, True)
    assert trash.leave() == [], "leaving another app keeps them"
    trash.sweep()
    assert trash.asides() == [aside]
    own = control.set_aside([mine])
    now = time.time()
    monkeypatch.setattr(trash.time, "time", lambda: now + trash.KEPT_DAYS * 86400 + 1)
    trash.sweep()
    assert trash.asides() == [own], "an app that lives keeps its own as long as it lives"


def test_what_an_open_app_has_deleted_is_only_brought_back_by_name(make_run: Make) -> None:
    run = over(make_run("one"))
    app = subprocess.Popen(
        [sys.executable, "-c", f"{DELETE}\nprint(1, flush=True); sys.stdin.read()", str(run.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    assert app.stdout is not None
    app.stdout.readline()
    try:
        assert trash.undoable() == []
        assert trash.leave() == []
        trash.sweep()
        trash.restore(trash.find_aside("one"))
        assert [each.id for each in list_runs()] == [run.id]
    finally:
        app.kill()
        app.communicate()


def test_a_removal_that_was_interrupted_goes_on_with_the_next(make_run: Make) -> None:
    trash.discard([control.set_aside([over(make_run("one"))])])
    assert len(list(trash.folder().iterdir())) == 1
    assert trash.asides() == []
    trash.sweep()
    wait_until(lambda: not trash.folder().exists())


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"time": 1e999, "owner": {}, "named": [], "size": 1}'])
def test_runs_whose_deletion_can_not_be_read_are_nobodys_and_come_back(make_run: Make, content: str | None) -> None:
    run = over(make_run("one"))
    described = control.set_aside([run]).folder / "deleted.json"
    if content is None:
        described.unlink()
    else:
        described.write_text(content)
    (aside,) = trash.undoable()
    assert aside.owner is None
    assert abs(aside.time - time.time()) < 1000
    trash.restore(aside)
    assert [each.id for each in list_runs()] == [run.id]


def test_a_place_that_is_taken_is_said_and_nothing_is_lost(make_run: Make) -> None:
    run = over(make_run("one"))
    aside = control.set_aside([run])
    run.path.mkdir()
    with pytest.raises(Refused, match="There is a run"):
        trash.restore(aside)
    assert trash.asides() == [aside]
    run.path.rmdir()
    trash.restore(aside)


def test_deleted_runs_are_found_by_id_name_and_part(make_run: Make) -> None:
    with pytest.raises(BadInput, match="No deleted run can be brought back"):
        trash.find_aside("last")
    one, two = over(make_run("count one")), over(make_run("count two"))
    for run in (one, two):
        control.set_aside([run])
    assert trash.find_aside("last").named == trash.find_aside(two.id).named == ("count two",)
    assert trash.find_aside("count one").named == trash.find_aside(one.id[-4:]).named == ("count one",)
    with pytest.raises(BadInput, match="2 deleted runs fit 'count'"):
        trash.find_aside("count")
    with pytest.raises(BadInput, match="No deleted run is called 'zzz'"):
        trash.find_aside("zzz")


def test_a_resume_and_a_deletion_at_once_never_leave_a_worker_without_its_folder(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = over(make_run("one"))
    put = trash.put_aside

    def meanwhile(runs: list[Run], named: list[Run]) -> trash.Aside:
        script = (
            "import sys; from pathlib import Path; from ftui.runs import control; from ftui.runs.folder import Run\n"
            "control.WORKER = ('sleep', '60', '#'); control.resume(Run(Path(sys.argv[1])))"
        )
        resumes.append(subprocess.Popen([sys.executable, "-c", script, str(run.path)], stderr=subprocess.PIPE))
        time.sleep(1.5)
        assert resumes[0].poll() is None, "it waits until the deletion is done"
        return put(runs, named)

    resumes: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(trash, "put_aside", meanwhile)
    control.set_aside([run])
    said = resumes[0].communicate(timeout=30)[1]
    assert b"can't be started" in said
    assert not run.path.exists()


def test_the_size_is_that_on_the_disk_and_counts_a_file_with_two_names_once(make_run: Make) -> None:
    run = over(make_run("one"))
    before = trash.size(run.path)
    os.link(run.path / "checkpoints" / "weights", run.path / "checkpoints" / "again")
    (run.path / "link").symlink_to("/usr")
    assert trash.size(run.path) - before < 50_000
    assert trash.size(runs_dir() / "absent") == 0


def test_the_description_tells_who_and_what(make_run: Make) -> None:
    aside = control.set_aside([over(make_run("one"))])
    told = json.loads((aside.folder / "deleted.json").read_text())
    assert (told["owner"]["pid"], told["named"], told["size"]) == (os.getpid(), ["one"], aside.size)
