"""Runs beside each other: what differs, what came of it, and curves of different lengths on one axis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftui.cli.main import main
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.alignment import Places
from ftui.runs.comparing import MOST, colours, compare, differing, labels, read_side
from ftui.runs.document import Event
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
    assert found.settings.values == {"adapter.rank": (8, 16, 16), "train.learning_rate": (1e-3, 1e-3, 5e-4)}


def test_what_came_of_each_run_is_told_by_its_best_evaluation(runs: list[Run]) -> None:
    facts = [side.facts for side in compare(runs).sides]
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


def at(step: int, time: float, attempt: int = 1, tokens: float | None = None) -> Event:
    data = {} if tokens is None else {"tokens": tokens}
    return Event(seq=0, attempt=attempt, time=time, kind="metric", step=step, data=data)


def test_the_time_trained_leaves_the_pause_before_a_resume_out_and_keeps_what_was_lost() -> None:
    places = Places()
    for event in (at(1, 100), at(2, 110), at(3, 120), at(4, 130), at(3, 5_000, 2), at(4, 5_010, 2)):
        places.add(event)
    assert list(places.steps) == [1, 2, 3, 4]
    assert list(places.seconds) == [0, 10, 30, 40]
    assert places.of([0, 2, 3, 9], "time") == [0, 10, 30, 40]


def test_a_clock_that_was_set_back_never_leads_a_curve_backwards() -> None:
    places = Places()
    for event in (at(1, 100), at(2, 40), at(3, 105)):
        places.add(event)
    assert list(places.seconds) == [0, 0, 5]


def test_a_run_that_counts_no_tokens_has_no_place_among_them() -> None:
    places = Places()
    assert places.of([1], "tokens") == []
    places.add(at(1, 100))
    assert places.of([1], "tokens") == []
    assert places.of([1], "time") == [0]


def test_a_resumed_run_is_compared_by_its_newest_attempt(runs: list[Run]) -> None:
    with RunWriter(runs[0].path) as writer:
        for step, loss in ((5, 0.5), (6, 0.4)):
            writer.emit("metric", step, loss=loss, tokens=step * 50)
    side = read_side(runs[0])
    assert list(side.curves["loss"])[-3:] == [(4, 1.4), (5, 0.5), (6, 0.4)]
    assert side.facts["steps"] == 6
    assert side.placed("loss", "tokens")[0] == [50, 100, 150, 200, 250, 300]


def test_a_run_without_a_recipe_or_with_one_that_cannot_be_read_is_compared_with_a_sentence(runs: list[Run]) -> None:
    job = create("evaluate", "judge", command="x", args={"of": "a"})
    broken = trained("broken", [1.0], 10)
    (broken.path / "recipe.yaml").write_text("version: 1\nno such: [")
    found = differing([job, *runs, broken])
    assert found.values == {"adapter.rank": (None, 8, 16, None)}
    assert found.notes[0] == "A judge has no recipe: it is no training but a run of kind evaluate."
    assert found.notes[1].startswith("D broken: its recipe can't be read: ")
    assert compare([job, broken]).sides[0].facts["steps"] is None


def test_a_run_keeps_its_colour_whoever_stands_beside_it_and_no_two_share_one() -> None:
    ids = [f"2026-11-22-run-{number:04x}" for number in range(MOST)]
    assert sorted(colours(ids)) == list(range(MOST))
    assert colours(ids) == colours(ids[::-1])[::-1]
    assert colours(ids[:1])[0] == colours([ids[0], ids[3]])[0]


def test_two_runs_of_one_name_are_told_apart_by_the_end_of_their_ids(runs: list[Run]) -> None:
    twin = trained("a", [1.0], 1)
    assert labels([*runs, twin]) == [f"A a {runs[0].id[-4:]}", "B b", f"C a {twin.id[-4:]}"]


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


@pytest.mark.parametrize("words", [["x"], ["{a}"], ["{a}", "{b}", "--by", "moon"], ["{a}", "{b}", "--curve", "nope"],
                                   ["{a}", "{a}"]])
def test_what_cannot_be_compared_is_said_in_a_sentence(
    runs: list[Run], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["runs", "compare", *(word.format(a=runs[0].id, b=runs[1].id) for word in words)])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("ftui: ")
