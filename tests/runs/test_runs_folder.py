"""The run folder: complete when it appears, found by what one remembers of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.errors import BadInput, Refused
from ftui.paths import runs_dir
from ftui.recipe import assign, read
from ftui.recipe.document import Recipe
from ftui.runs.folder import Run, _id, create, find, list_runs

Make = Callable[..., Run]


def test_a_new_run_holds_what_was_asked_and_what_was_resolved() -> None:
    recipe = assign(Recipe(), {"model.base": "demo", "train.seed": 5, "name": "Support Chat"})
    run = create("train", recipe.name, recipe=recipe, asked_text="model: {base: demo}  # mine\n", command="ftui launch")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-support-chat-[0-9a-f]{4}", run.id)
    assert run.asked_text == "model: {base: demo}  # mine\n"
    assert run.recipe() == recipe == read(run.path / "recipe.yaml")
    assert run.info.seed == 5
    assert run.info.versions["ftui"]
    assert run.plan() is None


def test_a_run_folder_is_closed_to_others(run: Run) -> None:
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((run.path / "run.json").stat().st_mode) == 0o600


def test_nothing_half_made_is_left_when_the_folder_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ftui.runs.folder.write_atomic", full)
    with pytest.raises(Refused, match="No space left"):
        create("count", "x", command="")
    assert list(runs_dir().iterdir()) == []


def test_a_home_that_is_a_file_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FTUI_HOME", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="is a file"):
        create("count", "x", command="")
    with pytest.raises(BadInput, match="is a file"):
        list_runs()


@given(st.text())
def test_every_name_makes_an_id_that_is_one_harmless_folder_name(name: str) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[a-z0-9-]{1,40}-[0-9a-f]{4}", _id(name))


def test_runs_are_listed_newest_first_and_strangers_are_left_out(make_run: Make) -> None:
    first, second = make_run("one"), make_run("two")
    (runs_dir() / "notes").mkdir()
    (runs_dir() / "notes" / "run.json").write_text("{")
    (runs_dir() / "link").symlink_to(first.path)
    (runs_dir() / "file").write_text("")
    assert [run.id for run in list_runs()] == [second.id, first.id]


def test_a_run_is_found_by_id_prefix_part_name_and_as_the_last(make_run: Make) -> None:
    support, legal = make_run("Support"), make_run("legal")
    assert find(support.id).path == support.path
    assert find("Support").path == support.path
    assert find("upport").path == support.path
    assert find(legal.id[-4:]).path == legal.path
    assert find("last").path == legal.path


def test_the_last_run_is_the_last_training_where_there_is_one() -> None:
    question = create("generate", "try-support", command="ftui try last")
    assert find("last").path == question.path
    trained = create("train", "support", command="ftui launch")
    create("generate", "try-support", command="ftui try last")
    assert find("last").path == trained.path


def test_a_miss_names_the_nearest_and_an_ambiguous_part_names_all(make_run: Make) -> None:
    with pytest.raises(BadInput, match="no runs yet"):
        find("x")
    first, second = make_run("support"), make_run("support")
    with pytest.raises(BadInput, match="Did you mean support"):
        find("suport")
    with pytest.raises(BadInput, match=f"2 runs fit.*{second.id}, {first.id}"):
        find("support")
    with pytest.raises(BadInput):
        find("")


def test_a_run_of_a_newer_ftui_can_still_be_read(run: Run) -> None:
    text = (run.path / "run.json").read_text()
    (run.path / "run.json").write_text(text.replace("{", '{"colour": "red",', 1))
    assert list_runs()[0].info.kind == "count"


def test_an_unreadable_description_is_a_sentence(run: Run) -> None:
    (run.path / "run.json").write_bytes(os.urandom(64))
    with pytest.raises(BadInput, match=r"run\.json is no description of a run"):
        Run(run.path).info  # noqa: B018
    (run.path / "run.json").unlink()
    with pytest.raises(BadInput, match="can't be read"):
        Run(run.path).info  # noqa: B018
