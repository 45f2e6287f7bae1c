"""A teacher, a reward or a function of the user's own that the worker would refuse is refused before the launch."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.cli.main import main
from ftui.models import demo
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.absolute import with_absolute_paths
from ftui.runs.companions import wrong_companions
from ftui.runs.folder import list_runs
from ftui.runs.own_function import wrong_function


@pytest.fixture
def wrong(own_home: Path) -> Callable[..., list[str]]:
    """What is wrong with a recipe on the embedded model whose objective has these settings, in sentences."""
    from ftui import models

    shape = models.describe("demo")

    def found(**options: Any) -> list[str]:
        recipe = assign(Recipe(), {"model.base": "demo", "objective": options})
        return [" ".join(each) for each in wrong_companions(with_absolute_paths(recipe), shape)]

    return found


@pytest.fixture
def teacher(own_home: Path, tmp_path: Path) -> Path:
    """A whole model with the tokens of the embedded one, as far as it can be told without its weights' content."""
    folder = tmp_path / "teacher"
    shutil.copytree(demo.ensure_folder(), folder)
    if not (folder / demo.WEIGHTS).exists():
        header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        (folder / demo.WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    return folder


def with_other_tokens(folder: Path) -> Path:
    """The same folder, in whose tokenizer two tokens have changed places."""
    file = folder / "tokenizer.json"
    told = json.loads(file.read_text())
    vocabulary = told["model"]["vocab"]
    one, two = list(vocabulary)[300:302]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    file.write_text(json.dumps(told))
    return folder


def test_a_teacher_with_the_students_tokens_is_taken(wrong: Any, teacher: Path) -> None:
    assert wrong(kind="distill", teacher=str(teacher)) == []
    assert wrong(kind="distill", teacher="demo") == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no/such-model", "HF_HUB_OFFLINE"), ("/nowhere/at/all", "no folder or file"),
        ("Qwen/Qwen3-8B", "HF_HUB_OFFLINE"), ("not a model", "neither a hub id nor a path"),
    ],
)  # fmt: skip
def test_a_teacher_that_is_nowhere_is_named(wrong: Any, name: str, said: str) -> None:
    (found,) = wrong(kind="distill", teacher=name)
    assert found.startswith("objective.teacher: ")
    assert said in found


def test_a_teacher_that_is_an_adapter_or_has_no_weights_is_refused(wrong: Any, teacher: Path) -> None:
    (teacher / demo.WEIGHTS).unlink()
    assert "no weights" in wrong(kind="distill", teacher=str(teacher))[0]
    (teacher / "adapter_config.json").write_text("{}")
    (found,) = wrong(kind="distill", teacher=str(teacher))
    assert "holds an adapter, not a model" in found
    assert found.count("objective.teacher") == 1


def test_a_teacher_with_other_tokens_is_refused(wrong: Any, teacher: Path) -> None:
    (found,) = wrong(kind="distill", teacher=str(with_other_tokens(teacher)))
    assert "has another vocabulary than the student" in found


def test_a_teacher_is_named_absolutely_for_the_worker(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(teacher.parent)
    recipe = assign(Recipe(), {"objective": {"kind": "distill", "teacher": "./teacher"}})
    assert with_absolute_paths(recipe).objective.teacher == str(teacher)  # type: ignore[union-attr]


FILE = """
import math
from json import *
def polite(completions): return [1.0 for _ in completions]
other = lambda completions: []
raise SystemExit("whoever runs this reads no further")
"""


def test_a_function_of_a_file_is_found_without_running_the_file(tmp_path: Path) -> None:
    file = tmp_path / "scores.py"
    file.write_text(FILE.replace("from json import *", "if math.pi:\n    from json import loads as read"))
    for name in ("polite", "other", "read"):
        assert wrong_function(f"{file}:{name}") is None
    assert wrong_function(f"{file}:rude") == (f"{file} has no function rude.", "It has polite.")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n", "line 1"), ("x = '\0'\n", "no Python"), ("class scores: ...\n", "has no function score"),
        ("import no_such_thing_at_all\ndef score(): ...\n", "imports no_such_thing_at_all"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    found = wrong_function(f"{tmp_path / 'mine.py'}:score")
    assert found is not None
    assert said in found[0]
    assert found[1]


@pytest.mark.parametrize(
    "source",
    [
        FILE, "def __getattr__(name): ...\n", "globals()['score'] = print\n", "try:\n    import no_such_thing\nexcept "
        "ImportError:\n    pass\nasync def score(): ...\n",
    ],
)
def test_what_only_running_could_tell_is_left_to_the_worker(tmp_path: Path, source: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    assert wrong_function(f"{tmp_path / 'mine.py'}:score") is None


def test_a_module_is_found_where_the_worker_would_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "installed" / "mypackage"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit\n")
    (package / "scores.py").write_text("def polite(completions): ...\n")
    monkeypatch.syspath_prepend(package.parent)
    assert wrong_function("mypackage.scores:polite") is None
    assert wrong_function("mypackage.scores:rude") is not None
    assert "no module mypackage.score " in str(wrong_function("mypackage.score:polite"))
    assert "mypackage" not in sys.modules
    assert wrong_function("os.path:join") is None
    assert wrong_function("math:sqrt") is None
    assert "no module nowhere" in str(wrong_function("nowhere.at.all:polite"))


def test_a_module_in_the_working_folder_is_named_as_the_worker_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "myscores.py").write_text("def polite(completions): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = wrong_function("myscores:polite")
    assert found is not None
    assert "write myscores.py:polite" in found[1]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert wrong_function("myscores:polite") is None


@pytest.mark.parametrize("kind", ["grpo", "rloo", "ppo", "online_dpo"])
def test_rewards_that_are_nowhere_are_refused(wrong: Any, tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine.py").write_text("def polite(completions): ...\n")
    file = tmp_path / "mine.py"
    given = [f"{file}:rude", "model:/nowhere", "json:/nowhere/schema.json", "model:no/such-model", f"0.5*{file}:polite"]
    found = wrong(kind=kind, rewards=given)
    assert [line.partition(": ")[0] for line in found] == ["objective.rewards"] * 4
    for line, said in zip(found, ("no function rude", "/nowhere", "schema.json", "no/such-model"), strict=True):
        assert said in line


def test_the_result_of_a_reward_run_is_taken_as_a_reward(wrong: Any, tmp_path: Path) -> None:
    (tmp_path / "run" / "output").mkdir(parents=True)
    (tmp_path / "run" / "output" / "adapter_config.json").write_text("{}")
    assert wrong(kind="grpo", rewards=[f"model:{tmp_path / 'run'}", f"2*model:{tmp_path / 'run' / 'output'}"]) == []
    assert "holds no reward model" in wrong(kind="grpo", rewards=[f"model:{tmp_path}"])[0]


@pytest.fixture
def launch_line(tmp_path: Path) -> list[str]:
    """A launch of a distillation from a teacher that is nowhere."""
    file = tmp_path / "rows.jsonl"
    rows = [json.dumps({"prompt": f"What about {number}?", "completion": "It is."}) + "\n" for number in range(9)]
    file.write_text("".join(rows))
    return ["launch", "cpu-demo", "--data", str(file), "--set", "objective.kind=distill", "--set",
            "objective.teacher=/nowhere/at/all"]  # fmt: skip


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as leave:
        main(list(words))
    streams = capsys.readouterr()
    return int(str(leave.value.code or 0)), streams.out, streams.err


def test_a_launch_and_its_dry_run_both_refuse_it(capsys: Any, launch_line: list[str]) -> None:
    code, _, err = outcome(capsys, *launch_line)
    assert code == 2
    assert "/nowhere/at/all" in err
    code, out, _ = outcome(capsys, *launch_line, "--dry-run")
    assert code == 2
    assert "In the way: objective.teacher: There is no folder or file /nowhere/at/all." in out
    code, out, _ = outcome(capsys, *launch_line, "--dry-run", "--json")
    assert code == 2
    assert "/nowhere/at/all" in json.loads(out)["obstacles"][0]["what"]
    assert list_runs() == []


def test_a_forced_dry_run_refuses_only_what_nothing_can_force(capsys: Any, launch_line: list[str]) -> None:
    assert outcome(capsys, *launch_line, "--dry-run", "--force")[0] == 0
    launch_line[-1] = "objective.teacher="
    assert outcome(capsys, *launch_line, "--dry-run", "--force")[0] == 2


def test_a_judge_that_the_worker_would_not_find_is_refused(wrong: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def better(first, second):\n    return [0] * len(first)\n")
    named = f"{tmp_path}/own.py"
    assert wrong(kind="online_dpo", judge=[f"{named}:better", "asks:demo", "exact"]) == []
    assert "objective.judge" in wrong(kind="online_dpo", judge=[f"{named}:worse"])[0]
    assert "has no function worse" in wrong(kind="online_dpo", judge=[f"{named}:worse"])[0]
    assert "objective.judge" in wrong(kind="online_dpo", judge=[f"asks:{tmp_path}/nowhere"])[0]
    assert "There is no schema" in wrong(kind="online_dpo", judge=["json:nowhere.json"])[0]


def test_the_model_that_a_judge_asks_is_planned_by_its_size(own_home: Path) -> None:
    from ftui import models
    from ftui.runs.companions import with_judge_size

    size = models.describe("demo").parameters / 1e9
    asked = assign(Recipe(), {"objective": {"kind": "online_dpo", "judge": ["shorter", "asks:demo"]}})
    assert with_judge_size(asked).objective.reward_parameters == size  # type: ignore[union-attr]
    said = assign(asked, {"objective.reward_parameters": 3.0})
    assert with_judge_size(said) == said
    other = assign(asked, {"objective.judge": ["shorter"]})
    assert with_judge_size(other) == other
