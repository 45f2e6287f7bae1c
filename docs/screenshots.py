"""Make a picture of every screen: docs/screens/*.svg, from recorded runs and a machine written as data.

    python docs/screenshots.py [NAME]...        # all, or those whose name begins so

No GPU, no hub, no training: the wizard plans for the box in tests/hardware/boxes/rtx3090.json, the monitor follows the
runs that benchmarks/recorded.py writes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import recorded
from textual.pilot import Pilot

from ftui import hardware
from ftui.recipe import parse, write
from ftui.runs import notes
from ftui.runs.folder import Run
from ftui.screens import lookups
from ftui.screens.app import FtuiApp
from ftui.screens.wizard.state import StepName

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LARGE, SMALL = (120, 40), (80, 24)
Shot = Callable[[Path], Awaitable[None]]
SHOTS: dict[str, Shot] = {}


def shot(function: Shot) -> Shot:
    """Register a function that makes the pictures whose names begin with its own."""
    SHOTS[function.__name__.replace("_", "-")] = function
    return function


@asynccontextmanager
async def app(size: tuple[int, int] = LARGE, **arguments: Any) -> AsyncIterator[Pilot[Any]]:
    """The app without a terminal."""
    async with FtuiApp(**arguments).run_test(size=size) as pilot:
        yield pilot


def text(pilot: Pilot[Any]) -> str:
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(pilot: Pilot[Any], *wanted: str, seconds: float = 60) -> None:
    """Wait until all of this stands on the screen."""
    end = time.monotonic() + seconds
    while not all(word in text(pilot) for word in wanted):
        if time.monotonic() > end:
            raise TimeoutError(f"{wanted} never came up:\n{text(pilot)}")
        await pilot.pause(0.1)
    await pilot.pause(0.2)


def save(pilot: Pilot[Any], name: str) -> None:
    folder = HERE / "screens"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.svg").write_text(pilot.app.export_screenshot(title="ftui"), encoding="utf-8")
    print(f"docs/screens/{name}.svg")


@shot
async def home(folder: Path) -> None:
    recorded.finished(folder)
    async with app() as pilot:
        await until(pilot, "support-qlora", "chat-qlora-24gb", "RTX 3090")
        save(pilot, "home")


@shot
async def wizard(folder: Path) -> None:
    from ftui.screens.wizard.state import ORDER

    # A row is shown with its model's own template and tokens, which for a model of the hub would have to be fetched.
    await walk(folder, "Qwen/Qwen3-8B", [step for step in ORDER if step != "data"])
    await walk(folder, "demo", ["data"])


@shot
async def why_not(folder: Path) -> None:
    async with drafted(folder, "Qwen/Qwen3-8B") as (pilot, screen):
        await screen.go("settings", checked=False)
        await pilot.pause(1.5)
        await pilot.press("slash", *"train.micro_batch", "enter", "w")
        await until(pilot, "is what is taken")
        await pilot.press("down", "down", "down", "down")
        await until(pilot, "Taken is")
        save(pilot, "why-not")


@shot
async def findings(folder: Path) -> None:
    rows = (ROOT / "ftui" / "data" / "demo.jsonl").read_text().splitlines()
    turns = [{"role": "user", "content": "Help me."}, {"role": "assistant", "content": "As an AI model, I cannot."}]
    personal = [turns[0], {"role": "assistant", "content": "Write to ann.lee@posteo.de<|im_end|>"}]
    refused, leaked = json.dumps({"messages": turns}), json.dumps({"messages": personal})
    spoilt = [*rows, *rows[:12], refused, refused, refused, leaked, "{broken"]
    async with drafted(folder, "demo", spoilt) as (pilot, screen):
        await screen.go("data", checked=False)
        await until(pilot, "check-up", "warnings")
        await pilot.press("c", "d")
        await until(pilot, "secrets too.")
        await pilot.press("down", "enter")
        await until(pilot, "left after 1 repair")
        save(pilot, "findings")


@shot
async def rate(folder: Path) -> None:
    from ftui.data.rating import open_rating
    from ftui.screens.background import settled

    asked = "A customer writes: my parcel was to come on Monday, and it is Thursday. What do I answer?"
    answers = [
        "I am sorry that your parcel is late. I have asked the carrier where it is, and write to you again by tomorrow "
        "noon, whatever they say. If it is lost, we send a new one the same day.",
        "Parcels can be late. Please check the tracking page, where you find the latest status of your shipment.",
    ]
    rows = [{"prompt": asked, "answers": answers}, *({"prompt": f"{n}", "answers": ["a", "b"]} for n in range(39))]
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, reversed(rows))))
    rating = open_rating(str(folder / "answers.jsonl"), pairs=folder / "answers-ann.jsonl", rater="ann")
    while rating.current and len(rating.ratings.verdicts) < 39:
        rating.choose("tie" if len(rating.ratings.verdicts) % 9 == 4 else "1")
    async with app(SMALL, rating=rating) as pilot:
        await until(pilot, "Which is better")
        save(pilot, "rate")
    # The home screen below it still reads the presets, and keeps what it has read.
    settled(10)


@shot
async def card(folder: Path) -> None:
    async with drafted(folder, "Qwen/Qwen3-8B") as (pilot, screen):
        await screen.go("goal", checked=False)
        await until(pilot, "That leads to")
        await pilot.press("tab", "tab", *["down"] * 10, "question_mark")
        await until(pilot, "escape goes back")
        save(pilot, "card")


@shot
async def trace(folder: Path) -> None:
    async with drafted(folder, "demo") as (pilot, screen):
        await screen.go("plan", checked=False)
        await pilot.pause(1.5)
        await pilot.press("t")
        await until(pilot, "difference", "backward")
        save(pilot, "trace")


async def walk(folder: Path, model: str, steps: Sequence[StepName]) -> None:
    """Take a picture of each of the wizard's `steps` on `model`."""
    async with drafted(folder, model) as (pilot, screen):
        for step in steps:
            await screen.go(step, checked=False)
            await pilot.pause(1.5)
            save(pilot, f"wizard-{step}")


@asynccontextmanager
async def drafted(folder: Path, model: str, lines: Sequence[str] = ()) -> AsyncIterator[tuple[Pilot[Any], Any]]:
    """The app with the wizard on `model` and these rows, or the demo's, planned."""
    from ftui.screens.wizard.wizard import WizardScreen

    rows = folder / "support.jsonl"
    rows.write_text("\n".join(lines) or (ROOT / "ftui" / "data" / "demo.jsonl").read_text())
    async with app() as pilot:
        screen = WizardScreen()
        draft = {"name": "support", "model.base": model, "data.sources": [{"path": str(rows)}], "goal.task": "chat"}
        screen.set_reactive(WizardScreen.state, screen.state.assigned(draft))
        await pilot.app.push_screen(screen)
        for _ in range(600):
            await pilot.pause(0.1)
            if screen.state.layout is not None and not screen.state.busy:
                break
        yield pilot, screen


@shot
async def monitor(folder: Path) -> None:
    run = recorded.healthy(folder, 330, 400)
    for size, name in ((LARGE, "monitor"), (SMALL, "monitor-small")):
        async with app(size, open_run=run.folder.name) as pilot:
            await until(pilot, "330 / 400 steps", "● evaluation")
            save(pilot, name)
            if size == SMALL:
                continue
            for key, tab, wanted in (
                ("2", "samples", "base model"), ("3", "events", "the best so far"), ("4", "log", "step 1"),
                ("5", "plan", "peak memory"),
            ):
                await pilot.press(key)
                await until(pilot, wanted)
                save(pilot, f"monitor-{tab}")


@shot
async def finished(folder: Path) -> None:
    run = recorded.finished(folder)
    async with app(open_run=run.folder.name) as pilot:
        await until(pilot, "✓ finished", "● evaluation")
        save(pilot, "finished")
        await pilot.press("a")
        await until(pilot, "ask something")
        save(pilot, "try")


@shot
async def report(folder: Path) -> None:
    run = recorded.finished(folder)
    async with app(open_run=run.folder.name) as pilot:
        await until(pilot, "✓ finished")
        await pilot.press("o")
        await until(pilot, "Use it")
        save(pilot, "report")


@shot
async def out_of_memory(folder: Path) -> None:
    run = recorded.out_of_memory(folder)
    run.log("=== attempt 1\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB.\n")
    async with app(SMALL, open_run=run.folder.name) as pilot:
        await until(pilot, "✗ failed", "r Resume")
        save(pilot, "out-of-memory")


@shot
async def runs(folder: Path) -> None:
    names = ("support-qlora", "tickets", "alpaca-lora", "gsm8k-reasoning", "house-style", "support-qlora")
    for number, name in enumerate(names):
        run = recorded.Recording(folder, name, id=f"2026-11-22-{name}-{number:04x}", began=time.time() - 4_000 * number)
        run.plan()
        run.start()
        run.train(recorded.metrics(260 if number in (0, 3) else 400, 400, seed=number), samples=False)
        if number == 0:
            run.live()
        elif number == 2:
            run.end("failed", "Out of memory at step 400: 25.1 GiB needed, 23.2 GiB free.", "Halve the micro-batch.")
        elif number != 3:
            run.end()
        run.flush()
        base = "Qwen/Qwen3-8B" if number < 4 else "meta-llama/Llama-3.2-3B"
        asked = f"model: {{base: {base}, quantization: nf4}}\ndata: {{sources: [{{path: train.jsonl}}]}}\n"
        (run.folder / "recipe.yaml").write_text(write(parse(asked)))
        if number in (1, 5):
            notes.tag(Run(run.folder), ["good"] if number == 5 else ["good", "shipped"])
    async with app() as pilot:
        from ftui.screens.runs import RunsScreen

        await pilot.app.push_screen(RunsScreen())
        await until(pilot, "▶ running", "✗ failed", "✗ crashed", "✓ finished")
        await pilot.press("down", "space", "down", "down", "down", "space")
        await until(pilot, "2 marked", "Llama-3.2-3B")
        save(pilot, "runs")


@shot
async def help(folder: Path) -> None:
    run = recorded.healthy(folder)
    async with app(open_run=run.folder.name) as pilot:
        await until(pilot, "t Stop")
        await pilot.press("f1")
        await until(pilot, "This run")
        save(pilot, "help")


@shot
async def glossary(folder: Path) -> None:
    async with app() as pilot:
        from ftui.screens.glossary import GlossaryScreen

        await pilot.app.push_screen(GlossaryScreen("QLoRA"))
        await until(pilot, "Source:")
        save(pilot, "glossary")


def main(names: list[str]) -> None:
    """Make the pictures whose names begin with one of `names`; without names, all."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    box = hardware.load(ROOT / "tests" / "hardware" / "boxes" / "rtx3090.json")
    lookups.probe = lambda: box
    for name, function in SHOTS.items():
        if not names or any(name.startswith(wanted) for wanted in names):
            # Always the same folder: the pictures show its name, and are to change only when the screens do.
            folder = Path(tempfile.gettempdir()) / "ftui"
            folder.mkdir()
            try:
                os.environ["FTUI_HOME"] = str(folder)
                asyncio.run(function(folder))  # type: ignore[arg-type]  # an async function's awaitable
            finally:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
