"""Runs beside each other: what differs, what came of it, and curves of different lengths on one axis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftui.cli.main import main
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.comparing import compare
from ftui.runs.folder import Run, create
from ftui.runs.writer import RunWriter

RECIPE = Recipe.model_validate({
    "model": {"base": "demo"}, "data": {"sources": [{"path": "demo"}]}, "adapter": {"kind": "lora", "rank": 8},
    "train": {"learning_rate": 1e-3},
})


def trained(name: str, losses: list[float], tokens: int, **settings: Any) -> Run:
    recipe = assign(RECIPE, {path.replace("__", "."): value for path, value in settings.items()})
    run = create("train", name, command="x", recipe=recipe)
    with RunWriter(run.path) as writer:
        for step, loss in enumerate(losses, 1):
            writer.emit("metric", step, loss=loss, tokens=step * tokens, tokens_per_second=100.0, rss_bytes=1 << 30)
            if step % 4 == 0:
                writer.emit("evaluation", step, eval_loss=loss + 0.1, best=True)
    return run


@pytest.fixture
def runs(own_home: Path) -> list[Run]:
    """Eight short steps of rank 8 against four of twice the tokens and rank 16."""
    short = [2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.9, 0.8]
    return [trained("a", short, 50), trained("b", [2.0, 1.5, 1.1, 0.7], 100, adapter__rank=16)]


def test_only_what_differs_is_named_with_each_runs_value(runs: list[Run]) -> None:
    found = compare([*runs, trained("c", [1.0], 10, adapter__rank=16, train__learning_rate=5e-4)])
    assert found.settings == {"adapter.rank": (8, 16, 16), "train.learning_rate": (1e-3, 1e-3, 5e-4)}


def test_what_came_of_each_run_is_told_by_its_best_evaluation(runs: list[Run]) -> None:
    facts = [each.facts for each in compare(runs).runs]
    assert [(fact["best"], fact["at"], fact["steps"]) for fact in facts] == [(0.9, 8, 8), (pytest.approx(0.8), 4, 4)]
    assert facts[0]["peak_bytes"] == 1 << 30


def test_curves_are_laid_over_steps_or_over_the_tokens_seen(runs: list[Run]) -> None:
    found = compare(runs)
    assert found.aligned("loss", "step", 4) == [
        (2, [1.8, 1.5]), (4, [1.4, 0.7]), (6, [1.0, None]), (8, [0.8, None]),
    ]
    assert found.aligned("loss", "tokens", 4) == [
        (100, [1.8, 2.0]), (200, [1.4, 1.5]), (300, [1.0, 1.1]), (400, [0.8, 0.7]),
    ]
    assert found.aligned("nothing", "step") == []


def test_the_command_prints_a_table_or_one_document(runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--json"]):
        with pytest.raises(SystemExit) as left:
            main(["runs", "compare", *(run.id for run in runs), *words])
        assert left.value.code == 0
        out = capsys.readouterr().out
        if words:
            assert json.loads(out)["settings"] == {"adapter.rank": [8, 16]}
        else:
            assert "adapter.rank" in out
            assert out.splitlines()[0].startswith("A  ")


@pytest.mark.parametrize("words", [["x"], ["{a}"], ["{a}", "{b}", "--by", "moon"], ["{a}", "{b}", "--curve", "nope"]])
def test_what_cannot_be_compared_is_said_in_a_sentence(
    runs: list[Run], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["runs", "compare", *(word.format(a=runs[0].id, b=runs[1].id) for word in words)])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("ftui: ")
