"""What a list tells of each run: true to its files, and read once where it can't change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.paths import cache_dir
from ftui.recipe import parse
from ftui.runs import facts as facts_
from ftui.runs import notes
from ftui.runs.facts import Depth, Memory, method_of
from ftui.runs.folder import Run, create

Make = Callable[..., Run]
RECIPE = "model: {base: Qwen/Qwen3-8B, quantization: nf4}\ndata: {sources: [{path: x.jsonl}]}\n"


def evaluation(seq: int, loss: float | None, best: bool = True, **more: object) -> str:
    data = {"eval_loss": loss, "best": best, **more}
    event = {"v": 1, "seq": seq, "attempt": 1, "time": 1e9, "kind": "evaluation", "step": seq, "data": data}
    return json.dumps(event) + "\n"


@pytest.fixture
def trained() -> Run:
    """A training that has not begun."""
    return create("train", "t", command="x", recipe=parse(RECIPE))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs whose recipes are read."""
    found: list[str] = []
    read = Run.recipe

    def counted(run: Run) -> object:
        found.append(run.id)
        return read(run)

    monkeypatch.setattr(Run, "recipe", counted)
    return found


def test_the_recipe_tells_base_and_method_once_and_the_next_process_remembers(trained: Run, reads: list[str]) -> None:
    memory = Memory()
    assert memory.look(trained, Depth.LOOKED).model is None
    assert reads == []
    known = memory.look(trained, Depth.READ)
    assert (known.model, known.method) == ("Qwen/Qwen3-8B", "sft qlora")
    assert memory.look(trained, Depth.LOOKED, known).method == "sft qlora", "what was known stays known"
    memory.save([trained.id])
    again = Memory().look(Run(trained.path), Depth.READ)
    assert (again.model, again.method) == ("Qwen/Qwen3-8B", "sft qlora")
    assert reads == [trained.id]


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (RECIPE, "sft qlora"),
        (RECIPE.replace("nf4", "none"), "sft lora"),
        (RECIPE.replace("nf4", "none") + "adapter: {kind: none}\n", "sft full"),
        (RECIPE + "objective: {kind: dpo}\n", "dpo qlora"),
    ],
)
def test_a_method_is_objective_and_adapter(text: str, method: str) -> None:
    assert method_of(parse(text)) == method


def test_the_best_is_the_newest_that_says_so_and_only_new_events_are_looked_through(trained: Run) -> None:
    memory = Memory()
    assert memory.look(trained, Depth.LOOKED).best is None
    with trained.events.open("w") as file:
        file.write(evaluation(1, 2.0) + evaluation(2, 1.5) + evaluation(3, 1.8, best=False))
        sample = {"seq": 4, "attempt": 1, "time": 1e9, "kind": "sample", "data": {"text": '"evaluation"'}}
        file.write(json.dumps(sample) + "\n")
        file.write(evaluation(5, None) + '{"kind": "evaluation", torn')
    assert memory.look(trained, Depth.LOOKED).best == 1.5
    memory.save([trained.id])
    kept = json.loads((cache_dir() / "runs.json").read_text())["runs"][trained.id]
    text = trained.events.read_text()
    assert kept["events"] == [trained.events.stat().st_ino, text.rfind("\n") + 1], "a torn line is looked at again"
    trained.events.write_text(text[: text.rfind("\n") + 1] + evaluation(6, 1.2, judged_by="loss"))
    os.utime(trained.events)
    assert Memory().look(trained, Depth.LOOKED).best == 1.2
    trained.events.write_text(evaluation(1, 3.0))
    assert Memory().look(trained, Depth.LOOKED).best == 3.0, "a file that was cut is looked through anew"


def test_the_best_is_of_what_the_objective_is_judged_by(trained: Run) -> None:
    trained.events.write_text(evaluation(1, 2.0, judged_by="win_rate", values={"win_rate": 0.7}))
    assert Memory().look(trained, Depth.LOOKED).best == 0.7


def test_tags_and_status_are_as_they_stand(trained: Run) -> None:
    memory = Memory()
    assert memory.look(trained, Depth.LOOKED).notes == notes.NONE
    notes.tag(trained, ["good"])
    now = memory.look(trained, Depth.LOOKED)
    assert now.notes.tags == ("good",)
    assert now.status == trained.status()
    assert now.took is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"format": 0}', '{"format": 1, "runs": []}', '{"format": 1, "runs": {"ID": 3}}',
     '{"format": 1, "runs": {"ID": {"events": 3, "best": null, "model": null, "method": null}}}',
     '{"format": 1, "runs": {"ID": {"events": [1, 2], "best": "x", "model": 3, "method": null, "recipe": null}}}'],
)  # fmt: skip
def test_a_garbled_memory_is_as_none(trained: Run, content: str) -> None:
    cache_dir().mkdir(parents=True)
    (cache_dir() / "runs.json").write_text(content.replace("ID", trained.id))
    assert Memory().look(trained, Depth.READ).model == "Qwen/Qwen3-8B"


def test_a_memory_that_can_not_be_written_is_no_matter(trained: Run, own_home: Path) -> None:
    (own_home / "cache").write_text("a file in its place")
    memory = Memory()
    assert memory.look(trained, Depth.READ).model
    memory.save([trained.id])
    assert (own_home / "cache").read_text() == "a file in its place"


def test_runs_that_are_gone_are_forgotten(trained: Run, make_run: Make) -> None:
    other = make_run()
    memory = Memory()
    for run in (trained, other):
        run.events.write_text(evaluation(1, 1.0))
        memory.look(run, Depth.LOOKED)
    memory.save([other.id], least=99)
    assert not (cache_dir() / "runs.json").exists(), "too little is new"
    memory.save([other.id])
    assert list(json.loads((cache_dir() / "runs.json").read_text())["runs"]) == [other.id]


def test_a_recipe_that_can_not_be_read_leaves_the_run_in_the_list(trained: Run) -> None:
    (trained.path / "recipe.yaml").write_text("gone: {setting: 1}\n")
    known = Memory().look(trained, Depth.READ)
    assert (known.model, known.method) == (None, None)
    assert known.status is not None


def test_a_million_events_are_searched_not_parsed(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    plain = facts_.parse_line
    monkeypatch.setattr(facts_, "parse_line", lambda line: parsed.append(line) or plain(line))
    line = json.dumps({"seq": 1, "attempt": 1, "time": 1e9, "kind": "metric", "step": 1, "data": {"loss": 1.0}}) + "\n"
    trained.events.write_text(evaluation(1, 1.25) + line * 1_000_000)
    assert Memory().look(trained, Depth.LOOKED).best == 1.25
    assert len(parsed) == 1
