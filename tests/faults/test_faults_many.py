"""Many runs, many events, and runs that another version of ftui has left."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe.check import BadRecipe
from ftui.runs import control, lines
from ftui.runs.folder import Run, create, find, list_runs
from ftui.runs.follow import each, history
from ftui.runs.recovered import recovered
from ftui.runs.status import RunStatus, status

from .conftest import RECIPE, Trainings
from .fault import Fault

Reach = Callable[..., RunStatus]


def line(seq: int, kind: str, step: int | None = None, **data: Any) -> str:
    event = {"v": 1, "seq": seq, "attempt": 1, "time": 1.7e9 + seq, "kind": kind, "step": step, "data": data}
    return json.dumps(event) + "\n"


def pair(step: int, total: int) -> str:
    """What a step leaves."""
    return line(2 * step, "metric", step, loss=1 / step, learning_rate=1e-4) + line(
        2 * step + 1, "progress", step, text="Training", done=step, total=total, unit="step"
    )


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the lines that were parsed."""
    found: list[int] = []
    plain = lines.parse_line

    def counted(text: bytes) -> Any:
        found.append(len(text))
        return plain(text)

    monkeypatch.setattr(lines, "parse_line", counted)
    return found


def test_two_thousand_runs_are_listed_each_with_its_truth_from_the_end_of_its_events(parsed: list[int]) -> None:
    first = create("count", "many", command="x")
    first.events.write_text(
        "".join(pair(step, 300) for step in range(1, 301)) + line(1000, "end", status="finished", text="Counted.")
    )
    info = json.loads((first.path / "run.json").read_text())
    for number in range(1999):
        path = first.path.with_name(f"2026-01-01-many-{number:04d}")
        path.mkdir()
        (path / "run.json").write_text(json.dumps(info | {"id": path.name, "created": 1.7e9 + number}))
        os.link(first.events, path / "events.jsonl")
    runs = list_runs()
    assert len(runs) == 2000
    assert [run.info.created for run in runs] == sorted((run.info.created for run in runs), reverse=True)
    assert {(now.state, now.step) for now in map(status, runs)} == {("finished", 300)}
    assert len(parsed) <= 2000 * 40, "the beginnings were left alone"
    assert find("many-1234").id == "2026-01-01-many-1234"


@pytest.mark.slow
def test_a_run_of_a_million_events_is_told_from_its_end_and_goes_on(
    parsed: list[int], reach: Reach
) -> None:
    run = create("count", "long", args={"steps": 500_040, "save": 20}, command="x")
    with run.events.open("w") as file:
        file.write(line(1, "recovery", text="halved", change={"train.micro_batch": 1}))
        for step in range(1, 500_001):
            file.write(pair(step, 500_040))
    (run.checkpoints).mkdir()
    (run.checkpoints / "last").write_text("500000")
    now = status(run)
    assert (now.state, now.step, now.total) == ("crashed", 500_000, 500_040)
    assert len(parsed) <= 2000
    control.resume(run)
    reach(run, lambda now: now.over, 60)
    assert status(run).state == "finished"


def test_events_are_read_in_pieces_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["ftui.runs.follow"], "PIECE_BYTES", 4096)
    run = create("count", "long", command="x")
    steps = [pair(step, 300) for step in range(1, 301)]
    change = line(5, "recovery", text="halved", change={"train.micro_batch": 1})
    run.events.write_text("".join([*steps[:150], change, *steps[150:]]))
    assert list(each(run)) == history(run)
    assert len(history(run)) == 601
    assert recovered(RECIPE, each(run)).train.micro_batch == 1


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("faults-killed")
def test_a_run_of_an_older_format_is_shown_and_goes_on(trainings: Trainings, tmp_path: Path) -> None:
    quick = {"train__max_steps": 6, "train__save_steps": 2, "data__validation": 0, "evaluate__prompts": []}
    whole = trainings.finish(trainings.make(**quick))
    run = trainings.make(**quick)
    trainings.work(run, Fault("ftui.worker.session:Session.on_step_begin", "kill", nth=5))
    age(run)
    assert status(run).state == "crashed"
    assert trainings.finish(Run(run.path)) == whole


@pytest.mark.slow
def test_a_recipe_that_this_version_can_not_read_is_refused_in_a_sentence_and_the_run_is_still_shown() -> None:
    run = create("train", "t", command="x", recipe=RECIPE)
    (run.path / "recipe.yaml").write_text((run.path / "recipe.yaml").read_text() + "gone: {setting: 1}\n")
    run.events.write_text(line(1, "metric", 3, loss=1.0))
    assert status(run).step == 3
    with pytest.raises(BadRecipe, match="gone"):
        control.resume(run)
    shutil.rmtree(run.path)


def age(run: Run) -> None:
    """Take out of its files what the first versions did not write."""
    info = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(
        json.dumps({name: info[name] for name in ("id", "kind", "name", "created", "host", "command")})
    )
    beat = json.loads(run.heartbeat.read_text())
    kept = ("pid", "started", "host", "boot", "namespace", "time")
    run.heartbeat.write_text(json.dumps({name: beat[name] for name in kept}))
    for manifest in run.checkpoints.glob("*/ftui.json"):
        found = json.loads(manifest.read_text())
        for name in ("best_loss", "unlogged", "data"):
            found["memory"].pop(name, None)
        manifest.write_text(json.dumps(found))
    events = [json.loads(text) for text in run.events.read_text().splitlines()]
    run.events.write_text("".join(json.dumps({k: v for k, v in event.items() if k != "v"}) + "\n" for event in events))
