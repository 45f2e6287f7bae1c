"""The few ways that matter, walked as their users walk them: in a terminal, by keys, to a run that has ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.runs import find
from ftui.runs.document import Event
from ftui.runs.follow import history

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("journeys")]


def metrics(run: str) -> list[Event]:
    return [event for event in history(find(run)) if event.kind == "metric"]


def shown(ftui: Callable[..., Any], run: str = "last") -> dict[str, Any]:
    """`ftui runs show` as a script reads it."""
    done = ftui("runs", "show", run, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def wait_for_step(run: str, step: int, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if any((event.step or 0) >= step for event in metrics(run)):
            return
        time.sleep(0.2)
    pytest.fail(f"{run} did not reach step {step} within {timeout:.0f} s")


def worker_of(run: str) -> int:
    return int(json.loads((find(run).path / "heartbeat").read_text())["pid"])


def as_plain_peft_answers(output: Path, base: Path) -> tuple[str, str]:
    """What the tuned and the base model answer, by peft and transformers alone, in a process of its own."""
    code = f"""
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(output)!r})
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({str(base)!r}), {str(output)!r})
inputs = tokenizer.apply_chat_template(
    [{{"role": "user", "content": "Where does a whale live?"}}], add_generation_prompt=True, return_dict=True,
    return_tensors="pt")
def answer():
    made = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    return tokenizer.decode(made[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
tuned = answer()
with model.disable_adapter():
    print(repr([tuned, answer()]))
"""
    import ast
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    tuned, base_answer = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    return tuned, base_answer


def test_a_newcomer_goes_from_the_demo_to_a_model_that_answers_differently(
    open_terminal: Callable[..., Any], ftui: Callable[..., Any], trained_demo: Path
) -> None:
    terminal = open_terminal("demo", size=(80, 24))
    terminal.wait_for(r"● Hardware(.|\n)*of memory for the run")
    terminal.keys("Enter")
    terminal.wait_for(r"● Model(.|\n)*demo")
    terminal.keys("Enter", pause=1)
    if "● Model" in terminal.screen():
        terminal.keys("Enter")
    terminal.wait_for(r"● Data(.|\n)*465 rows")
    terminal.keys("Enter")
    terminal.wait_for(r"● Goal")
    terminal.keys("Enter", pause=1)
    terminal.keys("Enter")
    terminal.wait_for(r"● Plan(.|\n)*★")
    terminal.keys("Enter")
    terminal.wait_for(r"● Settings")
    terminal.keys("C-n")
    terminal.wait_for(r"● Review(.|\n)*Enter starts the run")
    terminal.keys("Enter")
    terminal.wait_for(r"finished", timeout=240)
    terminal.keys("2")
    terminal.wait_for(r"whale|sky|capital")

    run = shown(ftui)
    assert run["status"] == "finished"
    tuned, base = as_plain_peft_answers(Path(run["output"]), trained_demo)
    assert tuned != base
    assert (Path(run["folder"]) / "report.md").read_text().startswith("# ")


def test_real_conversations_and_a_file_with_columns_of_its_own_train_from_the_wizard(
    open_terminal: Callable[..., Any], ftui: Callable[..., Any], trained_demo: Path, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "alpaca.json").symlink_to(shared_data / "llamafactory" / "alpaca_en_demo.json")
    rows = (json.loads(line) for line in (shared_data / "gsm8k" / "train.jsonl").open())
    with (tmp_path / "sums.jsonl").open("w") as file:
        file.writelines(json.dumps({"exercise": r["question"], "worked": r["answer"]}) + "\n" for r in rows)

    terminal = open_terminal(size=(120, 40))
    terminal.name_data("sums.jsonl")
    terminal.wait_for(r"exercise")
    terminal.keys("m", pause=1)
    terminal.wait_for(r"Columns of")
    terminal.type("exercise")
    terminal.keys("Tab")
    terminal.type("worked")
    terminal.keys("Enter")
    terminal.wait_for(r"7,473 rows of conversation", timeout=60)
    terminal.keys("C-n")
    terminal.wait_for(r"● Goal")
    terminal.keys("C-n")
    terminal.wait_for(r"● Plan(.|\n)*★", timeout=60)
    terminal.keys("C-n")
    terminal.wait_for(r"● Settings")
    terminal.keys("/", pause=0.5)
    terminal.type("step limit")
    terminal.keys("Enter", pause=0.5)
    if "Step limit" in terminal.screen():
        terminal.keys("Enter", pause=0.5)
    terminal.type("30")
    terminal.keys("Enter", pause=1)
    terminal.keys("C-n")
    terminal.wait_for(r"● Review(.|\n)*train.max_steps 30")
    terminal.keys("Enter")
    terminal.wait_for(r"finished", timeout=300)
    sums = metrics("last")
    assert sums[-1].step == 30
    assert sums[-1].data["loss"] < 0.8 * sums[0].data["loss"]

    done = ftui("launch", "cpu-demo", "--data", "alpaca.json", "--set", "train.max_steps=60", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    alpaca = metrics(result["run"])
    assert alpaca[-1].data["loss"] < 0.8 * alpaca[0].data["loss"]
    assert result["metrics"]["eval_loss"] < alpaca[0].data["loss"]


def test_a_doubter_proves_the_plan_asks_why_not_and_sees_what_an_edit_costs(open_terminal: Callable[..., Any]) -> None:
    terminal = open_terminal(size=(80, 24))
    terminal.wait_for(r"New run")
    terminal.keys("d")
    terminal.wait_for(r"● Hardware(.|\n)*of memory for the run")
    terminal.keys("Enter")
    terminal.wait_for(r"● Model(.|\n)*demo")
    terminal.keys("C-n")
    terminal.wait_for(r"● Data(.|\n)*465 rows")
    terminal.keys("C-n")
    terminal.wait_for(r"● Goal")
    terminal.keys("C-n")
    terminal.wait_for(r"● Plan(.|\n)*★(.|\n)*≈ estimate")

    terminal.keys("t")
    traced = terminal.wait_for(r"≈ estimate +◆ traced +difference(.|\n)*peak at", timeout=180)
    differences = [float(found) for found in re.findall(r"formula ([+−-]\d+\.\d)%", traced.replace("−", "-"))]
    assert len(differences) == 3, "allocated, reserved and the process"
    assert abs(differences[0]) <= 10, "a model of a million parameters is small change"
    terminal.keys("Escape")
    terminal.wait_for(r"● Plan(.|\n)*★.*◆ .*(.|\n)*◆ traced")

    terminal.keys("Down", "w")
    terminal.wait_for(r"Why .*, and why not another way\?(.|\n)*Taken is")
    terminal.keys("Escape", "Up")
    terminal.keys("C-n")
    terminal.wait_for(r"● Settings(.|\n)*◆ traced")
    terminal.keys("/", pause=0.5)
    terminal.type("adapter.rank")
    terminal.keys("Enter", "Enter", "C-u")
    terminal.type("256")
    terminal.keys("Enter")
    terminal.wait_for(r"Rank +256(.|\n)*≈ estimate \S+ [GM]iB \(.*\) \+\S+ [GM]iB")

    terminal.keys("w")
    screen = terminal.wait_for(r"Rank: why 256(.|\n)*● +256(.|\n)*is what is taken")
    assert re.search(r"○ +128 .*−\S+ [GM]iB", screen)
    terminal.keys("Down", "Enter")
    terminal.wait_until(lambda screen: "Rank: why" not in screen, 10, "the dialog's end")
    terminal.keys("Escape", "Escape")
    terminal.wait_for(r"● Plan")
    terminal.keys("C-q")
    terminal.wait_for(r"left with code 0")


def test_killing_the_app_leaves_the_curve_unbroken(
    open_terminal: Callable[..., Any], ftui: Callable[..., Any], trained_demo: Path
) -> None:
    launched = json.loads(ftui("launch", "cpu-demo", "--set", "train.max_steps=150", "--json").stdout)
    run = launched["run"]
    first = open_terminal("watch", run, size=(80, 24))
    first.wait_for(r"running|finished", timeout=120)
    wait_for_step(run, 20)
    for pid in first.pids()[1:]:
        os.kill(pid, signal.SIGKILL)
    first.close()
    seen = len(metrics(run))

    second = open_terminal("watch", run, size=(120, 40))
    second.wait_for(r"finished", timeout=300)
    steps = [event.step for event in metrics(run)]
    assert steps == list(range(1, 151))
    assert len(steps) > seen
    assert {event.attempt for event in metrics(run)} == {1}
    second.wait_for(r"150")


def test_a_killed_worker_shows_as_crashed_and_one_key_goes_on(
    open_terminal: Callable[..., Any], ftui: Callable[..., Any], trained_demo: Path
) -> None:
    settings = ("train.max_steps=120", "train.save_steps=20", "train.eval_steps=40")
    arguments = [part for setting in settings for part in ("--set", setting)]
    run = json.loads(ftui("launch", "cpu-demo", *arguments, "--json").stdout)["run"]
    terminal = open_terminal("watch", run, size=(80, 24))
    wait_for_step(run, 45)
    os.kill(worker_of(run), signal.SIGKILL)
    terminal.wait_for(r"crashed", timeout=15)
    assert shown(ftui, run)["status"] == "crashed"
    terminal.keys("r")
    terminal.wait_for(r"finished", timeout=300)

    events = metrics(run)
    assert {event.attempt for event in events} == {1, 2}
    first_again = min(event.step or 0 for event in events if event.attempt == 2)
    assert first_again in (21, 41), "it goes on right after a whole checkpoint"
    assert max(event.step or 0 for event in events) == 120
    losses = [{event.step: event.data["loss"] for event in events if event.attempt == attempt} for attempt in (1, 2)]
    again = losses[0].keys() & losses[1].keys()
    assert again
    assert all(losses[0][step] == losses[1][step] for step in again), "the resumed steps repeat the killed ones exactly"
