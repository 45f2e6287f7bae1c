"""A run that leads others: each in its turn, stopped and killed with it, and resumed where it was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.cli.main import main
from ftui.errors import Refused
from ftui.recipe import parse
from ftui.recipe.document import Recipe
from ftui.runs import control, heartbeat
from ftui.runs.folder import Run, create, find, list_runs
from ftui.runs.follow import history
from ftui.runs.launch import launch, lay_out
from ftui.runs.process import whereabouts
from ftui.runs.status import status

LEADING = Path(__file__).parents[1] / "faults" / "stages_worker.py"


@pytest.fixture
def lead(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Make a run that leads others, which count by the given arguments, and start its worker, a process of its own."""
    monkeypatch.setattr(control, "WORKER", (sys.executable, str(LEADING)))

    def make(*stages: dict[str, Any]) -> Run:
        parent = create("stages", "whole", command="ftui launch whole", recipe=Recipe())
        for number, args in enumerate(stages, 1):
            create("train", f"whole-{number}", command="", parent=parent.id,
                   args={"stage": number, "name": f"s{number}", "steps": 3, **args})
        control.start(parent)
        return parent

    return make


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def test_each_stage_has_its_turn_and_the_last_ones_result_is_the_whole_ones(lead: Callable[..., Run]) -> None:
    run = lead({}, {"steps": 4})
    first, second = run.stages()
    assert status(second).state == "queued"
    (second.output).mkdir()
    (second.output / "adapter").write_text("weights")
    ended = control.wait(run, interval=0.05)
    assert (ended.state, ended.text) == ("finished", "All 2 stages are done. s2: Counted to 4.")
    assert ended.metrics["train_loss"] == 0.25
    assert [status(stage).state for stage in (first, second)] == ["finished", "finished"]
    begun = [event.data["text"] for event in history(run) if event.kind == "status" and "Stage" in event.data["text"]]
    assert begun == [f"Stage 1 of 2, s1: {first.id}.", f"Stage 2 of 2, s2: {second.id}."]
    assert (run.output / "adapter").samefile(second.output / "adapter")
    assert f"**s1** ([{first.id}]" in run.report.read_text()


def test_a_stage_that_fails_ends_the_run_and_a_resume_goes_on_with_it_alone(lead: Callable[..., Run]) -> None:
    run = lead({}, {"steps": 8, "save": 5, "at": 7, "raise": "defect"}, {})
    ended = control.wait(run, interval=0.05)
    first, second, third = run.stages()
    assert ended.state == "failed"
    assert ended.text.startswith("Stage 2 of 3, s2: ZeroDivisionError")
    assert f"ftui runs resume {run.id}" in (ended.hint or "")
    assert status(third).state == "crashed"
    assert run.id in (status(third).hint or "")
    control.resume(run)
    assert control.wait(run, interval=0.05).state == "finished"
    assert [status(stage).attempt for stage in (first, second, third)] == [1, 2, 1]
    assert [event.step for event in history(second) if event.kind == "metric" and event.attempt == 2] == [6, 7, 8]


def test_a_stop_reaches_the_stage_and_a_resume_goes_on_from_there(lead: Callable[..., Run]) -> None:
    run = lead({"steps": 400, "seconds": 0.02}, {})
    first, second = run.stages()
    until(lambda: (status(run).step or 0) > 1)
    assert "s1" in status(run).text
    control.stop(run)
    ended = control.wait(run, interval=0.05)
    assert ended.state == "stopped"
    assert ended.text.startswith("Stage 1 of 2, s1: Stopped at step")
    assert status(first).state == "stopped"
    assert status(second).state == "crashed"
    control.resume(run)
    until(lambda: status(first).state == "running")
    control.stop(first)
    assert control.wait(run, interval=0.05).state == "stopped", "a stage that is stopped by itself stops the whole"


def test_a_killed_run_takes_its_stage_with_it_which_saves_and_both_go_on(lead: Callable[..., Run]) -> None:
    run = lead({}, {"steps": 200, "seconds": 0.02, "save": 1000}, {})
    first, second, _ = run.stages()
    until(lambda: (status(second).step or 0) > 1)
    beat, below = heartbeat.read(run.heartbeat), heartbeat.read(second.heartbeat)
    assert beat is not None
    assert below is not None
    os.kill(beat.worker.pid, signal.SIGKILL)
    until(lambda: whereabouts(below.worker) == "dead")
    assert status(run).state == "crashed"
    stopped = until(lambda: status(second).step if status(second).state == "stopped" else None)
    control.resume(run)
    assert control.wait(run, interval=0.05).state == "finished"
    assert status(first).attempt == 1
    assert next(e.step for e in history(second) if e.kind == "metric" and e.attempt == 2) == stopped + 1


def test_stop_at_once_kills_both(lead: Callable[..., Run]) -> None:
    run = lead({"steps": 1000, "seconds": 30})
    (stage,) = run.stages()
    until(lambda: heartbeat.read(stage.heartbeat) and status(stage).state == "running")
    below = heartbeat.read(stage.heartbeat)
    assert below is not None
    assert control.stop(run, now=True, grace=0.5).state == "stopped"
    until(lambda: whereabouts(below.worker) == "dead")


def test_stages_are_listed_beneath_their_run_and_go_with_it(
    lead: Callable[..., Run], make_run: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> str:
        with contextlib.suppress(SystemExit):
            main(["runs", *arguments])
        return capsys.readouterr().out

    run = lead({}, {})
    control.wait(run, interval=0.05)
    alone = make_run()
    shown = json.loads(said("--json"))
    assert [row["run"] for row in shown] == [alone.id, run.id]
    assert [row["run"] for row in shown[1]["stages"]] == [stage.id for stage in run.stages()]
    lines = said().splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["└", "└"]
    assert find("last").id == run.id
    assert "s2: finished" in said("show", run.id)
    control.delete(run)
    assert [left.id for left in list_runs()] == [alone.id]


RECIPE = """
name: chat
model: {base: demo, quantization: none}
compute: {gpus: 0, on_end: "true", max_hours: 2}
data: {sources: [demo], max_length: 64}
adapter: {kind: lora, dropout: 0.1}
stages:
  - {name: sft, train: {epochs: 2}}
  - {name: dpo, objective: {kind: dpo}, data: {sources: [PAIRS]}, adapter: {dropout: 0}}
  - {name: score, objective: reward, data: {sources: [PAIRS]}, adapter: {dropout: 0}}
  - {name: rl, from: merged, adapter: {dropout: 0}, objective: {kind: grpo, rewards: ["0.5*stage:score", format]}}
"""


@pytest.fixture
def four(tmp_path: Path) -> Recipe:
    rows = [{"prompt": f"Is {n} good?", "chosen": f"Yes, {n} is.", "rejected": "No."} for n in range(20)]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return parse(RECIPE.replace("PAIRS", str(file)))


def test_all_stages_are_planned_and_laid_out_before_the_first_starts(
    four: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftui.runs.stages.start", lambda run: None)
    layout = lay_out(four)
    peaks = [each.layout.estimate.memory.process_bytes for each in layout.stages]
    assert layout.estimate.memory.process_bytes == max(peaks)
    assert layout.estimate.time.steps == sum(each.layout.estimate.time.steps for each in layout.stages)
    run = launch(layout, command="ftui launch chat.yaml")
    assert run.info.kind == "stages"
    assert run.plan() is not None
    assert run.recipe() == layout.asked
    assert (layout.recipe.name, layout.recipe.stages) == ("chat", four.stages)
    assert layout.recipe.train == layout.stages[0].layout.recipe.train
    sft, dpo, score, merge, rl = run.stages()
    assert [each.info.kind for each in run.stages()] == ["train", "train", "train", "merge", "train"]
    recipes = {each.id: each.recipe() for each in (sft, dpo, score, rl)}
    assert recipes[sft.id].adapter.start_from is None
    assert recipes[dpo.id].adapter.start_from == str(sft.output)
    assert recipes[dpo.id].adapter.rank == recipes[sft.id].adapter.rank
    assert (recipes[sft.id].adapter.dropout, recipes[dpo.id].adapter.dropout) == (0.1, 0)
    assert recipes[score.id].adapter.start_from == str(dpo.output)
    assert merge.info.args["run"] == dpo.id
    assert (recipes[rl.id].model.base, recipes[rl.id].adapter.start_from) == (str(merge.output), None)
    assert recipes[rl.id].objective.rewards == (f"0.5*model:{score.output}", "format")
    assert recipes[sft.id].compute.on_end is None, "the parent says when all has ended"
    assert recipes[sft.id].compute.max_hours is None


def test_one_stage_that_can_not_be_trained_keeps_all_from_starting() -> None:
    wrong = parse(RECIPE.replace("PAIRS", "demo").replace("format]", "code]"))
    with pytest.raises(Refused, match=r"^Stage rl: .* code"):
        launch(lay_out(wrong), command="x")
    assert list_runs() == []
