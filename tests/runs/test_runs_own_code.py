"""A model that needs Python code of its own, on the way to a run: refused, agreed to by its hash, and pinned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.cli.main import main
from ftui.errors import Refused
from ftui.models import own_code, trusted
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs import list_runs
from ftui.runs.agreed_code import with_agreed_commit
from ftui.runs.launch import launch, lay_out
from ftui.runs.obstacles import obstacles


@pytest.fixture
def folder(make_own_code: Callable[[Path], Path], tmp_path: Path) -> Path:
    return make_own_code(tmp_path / "own")


def asked(folder: Path, **model: str) -> Recipe:
    return assign(Recipe(), {
        "model.base": str(folder), "data.sources": [{"path": "demo"}], "train.max_steps": 2,
        **{f"model.{name}": value for name, value in model.items()},
    })


def hash_of(folder: Path) -> str:
    code = own_code.look(str(folder))
    assert code is not None
    return code.hash


def test_without_consent_a_launch_is_refused_whatever_is_forced(folder: Path) -> None:
    layout = lay_out(asked(folder))
    (obstacle,) = [each for each in obstacles(layout) if "code of its own" in each.what]
    for word in (hash_of(folder), "modeling_tiny_own.py", "2 files", "run as you", "your files and tokens"):
        assert word in obstacle.what
    assert f"--set model.trust_code={hash_of(folder)}" in obstacle.hint
    for force in (False, True):
        with pytest.raises(Refused, match="code of its own"):
            launch(layout, command="ftui launch", force=force)
    assert list_runs() == []


def test_a_recipe_can_t_consent_for_who_launches_it(folder: Path) -> None:
    layout = lay_out(asked(folder, trust_code=hash_of(folder)))
    assert any("code of its own" in each.what for each in obstacles(layout))


def test_what_was_agreed_to_once_is_pinned_in_each_later_recipe(folder: Path) -> None:
    trusted.agree(str(folder), None, hash_of(folder))
    layout = lay_out(asked(folder))
    assert layout.recipe.model.trust_code == hash_of(folder)
    assert not any("code" in each.what for each in obstacles(layout))
    (folder / "modeling_tiny_own.py").write_text("other = True\n")
    (obstacle,) = [each for each in obstacles(layout) if "code" in each.what]
    assert "not the one that was agreed to" in obstacle.what


def test_a_commit_that_was_agreed_to_is_the_revision_that_is_loaded() -> None:
    commit = "3f2a" * 10
    recipe = assign(Recipe(), {"model.base": "far/own", "model.trust_code": commit})
    assert with_agreed_commit(recipe).model.revision == commit
    pinned = assign(recipe, {"model.revision": "v2"})
    assert with_agreed_commit(pinned).model.revision == "v2"


def ftui(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_the_flag_that_the_refusal_names_is_consent(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["launch", "--model", str(folder), "--data", "demo", "--set", "train.max_steps=2", "--dry-run"]
    assert ftui(*line) == 2
    flag = capsys.readouterr().out.split("If you trust it: ")[1].splitlines()[0].split()
    assert ftui(*line, *flag) == 0
    capsys.readouterr()
    assert ftui(*line) == 0
    assert hash_of(folder) in capsys.readouterr().out
    (folder / "modeling_tiny_own.py").write_text("other = True\n")
    assert ftui(*line, *flag) == 2
    assert "not the one that was agreed to" in capsys.readouterr().err


def test_the_code_can_be_read_agreed_to_and_forgotten_by_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "modeling_tiny_own.py").write_text("print('\x1b[2J')  # \u202e\nfrom .configuration_tiny_own import x\n")
    assert ftui("models", "code", str(folder)) == 0
    shown = capsys.readouterr().out
    assert hash_of(folder) in shown
    assert "You have not agreed to it." in shown
    assert ftui("models", "code", str(folder), "--read", "modeling_tiny_own.py") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"print('\x1b[2J')  # \u202e" in shown
    assert ftui("models", "code", str(folder), "--trust", hash_of(folder)) == 0
    capsys.readouterr()
    assert ftui("models", "code", str(folder), "--json") == 0
    assert json.loads(capsys.readouterr().out)["trusted"] is True
    assert ftui("models", "code", str(folder), "--forget") == 0
    assert not trusted.trusted(str(folder), hash_of(folder))
    assert ftui("models", "code", "demo") == 0
    assert "needs no code" in capsys.readouterr().out


def test_a_stage_can_t_start_from_a_whole_model_with_code_that_isn_t_there_yet(folder: Path) -> None:
    trusted.agree(str(folder), None, hash_of(folder))
    stages = [{"name": "first"}, {"name": "second", "from": "merged"}]
    with pytest.raises(Refused, match="Stage second: It starts from a whole model that brings code of its own"):
        lay_out(assign(asked(folder), {"stages": stages}))
    from_adapter = [{"name": "first"}, {"name": "second", "from": "adapter"}]
    laid = lay_out(assign(asked(folder), {"stages": from_adapter}))
    assert [each.layout.recipe.model.trust_code for each in laid.stages] == [hash_of(folder)] * 2
