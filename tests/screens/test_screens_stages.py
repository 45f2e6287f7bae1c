"""A run that leads others: each stage has a line, and one key leads to its curves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from screens_help import cpu_box, text, until

from ftui.runs import heartbeat
from ftui.runs.command import ask, plan_command
from ftui.runs.folder import Run, create
from ftui.runs.heartbeat import Heartbeat
from ftui.runs.launch import lay_out
from ftui.runs.process import identify
from ftui.screens.app import FtuiApp
from ftui.screens.monitor import MonitorScreen
from ftui.screens.wizard.review import stages_line


def write(run: Run, *events: tuple[str, int | None, dict[str, Any]], live: bool = False) -> None:
    """The events (kind, step, data) of a run, one a second; `live` gives it this process as its worker."""
    lines = [
        {"v": 1, "seq": seq, "attempt": 1, "time": float(seq), "kind": kind, "step": step, "data": data}
        for seq, (kind, step, data) in enumerate(events, 1)
    ]
    run.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if live:
        worker = identify()
        assert worker is not None
        heartbeat.write(run.heartbeat, Heartbeat(worker, 1, float(len(lines))))


@pytest.fixture
def staged(own_home: Any) -> Callable[[], Run]:
    """A run whose first stage is done and whose second one trains."""

    def make() -> Run:
        parent = create("stages", "align", command="ftui launch align")
        stages = [
            create("train", f"align-{name}", parent=parent.id, args={"stage": number, "name": name}, command="ftui")
            for number, name in enumerate(("sft", "dpo"), 1)
        ]
        running = ("status", None, {"state": "running", "text": "Training."})
        step = ("progress", 1, {"text": "Training", "done": 1, "total": 5, "unit": "step"})
        end = {"status": "finished", "text": "Trained 4 steps.", "hint": None, "metrics": {}, "output": None}
        write(stages[0], running, ("end", None, end))
        write(stages[1], running, step, ("metric", 1, {"loss": 0.69}), live=True)
        first = ("progress", 4, {"text": "Stage 1 of 2, sft: Training", "done": 4, "total": 4, "unit": "step"})
        second = ("status", None, {"state": "running", "text": "Stage 2 of 2, dpo: it begins."})
        here = ("progress", 1, {"text": "Stage 2 of 2, dpo: Training", "done": 1, "total": 5, "unit": "step"})
        write(parent, running, first, second, here, live=True)
        return parent

    return make


async def test_each_stage_has_a_line_and_v_leads_to_the_one_at_work(staged: Callable[[], Run]) -> None:
    parent = staged()
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(MonitorScreen(parent.id))
        await until(pilot, lambda: "✓ finished   sft" in text(app))
        assert "Trained 4 steps." in text(app)
        assert "▶ running    dpo  step 1 of 5" in text(app)
        assert "Stage 2 of 2, dpo: Training, 1 / 5 steps" in text(app)
        await until(pilot, lambda: "View stage" in text(app))
        await pilot.press("v")
        await until(pilot, lambda: "align-dpo" in text(app) and "1 / 5 steps" in text(app))
        # It leads none itself.
        await until(pilot, lambda: "View stage" not in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "✓ finished   sft" in text(app))


async def test_the_steps_of_a_stage_are_not_those_of_the_one_before(staged: Callable[[], Run]) -> None:
    parent = staged()
    lines = parent.events.read_text().splitlines()
    parent.events.write_text("\n".join(lines[:-1]) + "\n")
    app = FtuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(MonitorScreen(parent.id))
        await until(pilot, lambda: "Stage 2 of 2, dpo: it begins." in text(app))
        assert "step 4" not in text(app)


def test_the_review_names_every_stage_and_the_command_plans_them(tmp_path: Any, monkeypatch: Any) -> None:
    rows = {"chats.jsonl": {"prompt": "What?", "completion": "That."},
            "pairs.jsonl": {"prompt": "What?", "chosen": "That.", "rejected": "No."}}  # fmt: skip
    for name, row in rows.items():
        (tmp_path / name).write_text("".join(json.dumps({**row, "prompt": f"What {n}?"}) + "\n" for n in range(40)))
    monkeypatch.chdir(tmp_path)
    asked = ask("sft-then-dpo", data=["chats.jsonl"], flags={"model.base": "demo"}).recipe
    layout = lay_out(asked, hardware=cpu_box())
    said = stages_line(layout).plain
    assert said.startswith("in 2 stages: sft by supervised fine-tuning, then dpo by DPO from the adapter of sft")
    assert plan_command(asked, reference="sft-then-dpo").endswith("--dry-run")
    assert plan_command(ask("cpu-demo").recipe, reference="cpu-demo") == "ftui plan cpu-demo"
