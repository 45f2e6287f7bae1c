"""Asking a finished run: the question becomes a job, its answers come back to the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from screens_help import until_drawn as until

from ftui.errors import Refused
from ftui.runs.folder import Run
from ftui.screens.app import FtuiApp
from ftui.screens.try_run import TryScreen

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


@pytest.fixture
def asked(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Jobs that were started; each is over at once, with an answer that echoes its prompt."""
    jobs: list[dict[str, Any]] = []

    def start_job(kind: str, args: dict[str, Any], name: str, **more: Any) -> Run:
        jobs.append({"kind": kind, **args, **more})
        job = recorded.Recording(own_home, name, kind=kind, id=f"job-{len(jobs)}")
        if "crash" in args["prompts"][0]:
            job.end("failed", "Out of memory while answering.", "Use a smaller model.")
        else:
            for index, prompt in enumerate(args["prompts"]):
                job.emit("sample", prompt=prompt, text=f"tuned: \x1b[31m{prompt}", base=f"base: {prompt}", index=index)
            job.end("stopped", "Answered.")
        return Run(job.folder)

    monkeypatch.setattr("ftui.runs.control.start_job", start_job)
    return jobs


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_question_is_answered_by_both_models(
    own_home: Path, asked: list[dict[str, Any]], size: tuple[int, int]
) -> None:
    run = recorded.finished(own_home)
    async with FtuiApp(open_run=run.folder.name).run_test(size=size) as pilot:
        await until(pilot, "a Try it")
        await pilot.press("a")
        await until(pilot, "ask something")
        await pilot.press(*"Hello there", "enter")
        shown = await until(pilot, "▸ Hello there", "base: Hello there", "tuned: \\x1b[31mHello there")
        assert "\x1b" not in shown
        assert [(job["kind"], job["run"], job["prompts"]) for job in asked] == [
            ("generate", run.folder.name, ["Hello there"])
        ]
        assert asked[0]["command"] == f"ftui try {run.folder.name} 'Hello there'"


async def test_the_prompts_of_the_training_can_be_asked_again(own_home: Path, asked: list[dict[str, Any]]) -> None:
    run = recorded.finished(own_home)
    async with FtuiApp().run_test(size=(120, 40)) as pilot:
        screen = TryScreen(Run(run.folder))
        await pilot.app.push_screen(screen)
        await pilot.pause(0.5)
        await pilot.press("up", "up")
        await until(pilot, recorded.PROMPTS[1], "ftui try")
        await pilot.press("down", "enter")
        await until(pilot, f"▸ {recorded.PROMPTS[2]}")


async def test_a_job_that_fails_says_why_and_where_its_log_is(own_home: Path, asked: list[dict[str, Any]]) -> None:
    run = recorded.finished(own_home)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(TryScreen(Run(run.folder)))
        await pilot.press(*"crash", "enter")
        await until(pilot, "✗ Out of memory while answering. Use a smaller model.", "ftui runs log job-1")
        await pilot.press(*"again", "enter")
        await until(pilot, "▸ again")


async def test_a_job_that_cannot_be_started_says_why(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> Run:
        raise Refused("The disk is full.", "Free some space.")

    run = recorded.finished(own_home)
    monkeypatch.setattr("ftui.runs.control.start_job", refuse)
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(TryScreen(Run(run.folder)))
        await pilot.press(*"hi", "enter")
        await until(pilot, "The disk is full. Free some space.")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_task_and_an_image_are_named_where_the_result_tells_them_apart(
    own_home: Path, asked: list[dict[str, Any]], tmp_path: Path, size: tuple[int, int]
) -> None:
    run = Run(recorded.finished(own_home).folder)
    (run.output / "ftui.json").write_text('{"tasks": ["sun", "sky"]}')
    (run.output / "preprocessor_config.json").write_text("{}")
    image = tmp_path / "a b.png"
    image.write_bytes(b"")
    async with FtuiApp().run_test(size=size) as pilot:
        await pilot.app.push_screen(TryScreen(run))
        await until(pilot, "each of sun, sky", "^t Task")
        await pilot.press("ctrl+t")
        await until(pilot, "task  sun")
        await pilot.press("tab", *"nowhere.png", "shift+tab", *"Hi", "enter")
        await until(pilot, "There is no image nowhere.png.")
        await pilot.press("ctrl+t", "tab", *(["backspace"] * 11), *str(image), "shift+tab", *"Hi", "enter")
        await until(pilot, "base: Hi")
    assert [(job["task"], job["images"]) for job in asked] == [("sky", [[str(image)]])]
    assert asked[0]["command"] == f"ftui try {run.id} Hi --task sky --image '{image}'"


async def test_tasks_that_trained_apart_are_asked_one_by_one(own_home: Path, asked: list[dict[str, Any]]) -> None:
    parent = recorded.Recording(own_home, "apart", kind="stages", id="apart")
    (parent.folder / "recipe.yaml").write_text(
        "version: 1\nname: apart\nmodel: {base: demo}\ndata: {sources: [{path: demo}], tasks: apart}\n"
    )
    for number, name in enumerate(("sun", "sky")):
        folder = recorded.Recording(own_home, name, id=name).folder
        info = json.loads((folder / "run.json").read_text())
        info |= {"parent": "apart", "args": {"stage": number, "name": name}}
        (folder / "run.json").write_text(json.dumps(info))
        (folder / "output").mkdir()
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(TryScreen(Run(parent.folder)))
        await until(pilot, "task  sun")
        await pilot.press("ctrl+t", *"Hi", "enter")
        await until(pilot, "base: Hi")
    assert asked[0]["run"] == "sky"


async def test_a_model_of_scores_says_at_once_that_it_writes_nothing(
    own_home: Path, asked: list[dict[str, Any]]
) -> None:
    run = Run(recorded.finished(own_home).folder)
    (run.path / "recipe.yaml").write_text(
        "version: 1\nname: scores\nmodel: {base: demo}\nobjective: {kind: reward}\ndata: {sources: [{path: demo}]}\n"
    )
    async with FtuiApp().run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(TryScreen(run))
        await pilot.press(*"hi", "enter")
        await until(pilot, "gives scores, and writes no")
    assert not asked
