"""The monitor on recorded runs: what stands on the screen, and what its keys do to the run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from screens_help import drawn as text
from screens_help import until_drawn as until
from textual.pilot import Pilot

from ftui.runs.folder import Run
from ftui.runs.inbox import take
from ftui.runs.writer import RunWriter
from ftui.screens.app import FtuiApp
from ftui.screens.monitor import MonitorScreen
from ftui.screens.monitor_picture import Picture
from ftui.screens.monitor_tail import Tail
from ftui.screens.monitor_watch import Watch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded

SIZES = [(80, 24), (120, 40)]


def rows(pilot: Pilot[object]) -> list[str]:
    """The text on the terminal."""
    return ["".join(segment.text for segment in strip) for strip in pilot.app.screen._compositor.render_strips()]


def app_on(folder: Path) -> FtuiApp:
    return FtuiApp(open_run=folder.name)


@pytest.mark.parametrize("size", SIZES)
async def test_a_running_training_fits_and_shows_both_curves_progress_and_all_metrics(
    own_home: Path, size: tuple[int, int]
) -> None:
    run = recorded.healthy(own_home)
    async with app_on(run.folder).run_test(size=size) as pilot:
        gauges = "learning rate", "gradient norm", "tokens/s", "GPU memory", "GPU utilisation", "GPU temperature"
        shown = await until(pilot, "▶ running", "260 / 400 steps", "best eval 1.090 at 240", "● evaluation", *gauges)
        assert shown.count("●") >= 7
        assert "left" in rows(pilot)[2]
        assert "ftui watch" in rows(pilot)[-2]
        assert len(rows(pilot)[-1].strip().split("   ")) == 6
        assert not pilot.app.screen.show_vertical_scrollbar


@pytest.mark.parametrize("size", SIZES)
async def test_a_spike_of_one_step_and_a_gap_can_be_seen(own_home: Path, size: tuple[int, int]) -> None:
    run = recorded.healthy(own_home, spike=130, nan=range(180, 200))
    async with app_on(run.folder).run_test(size=size) as pilot:
        shown = (await until(pilot, "260 / 400 steps", "×", "GPU temperature")).splitlines()
    assert any("4 ┤" in row for row in shown)
    foot = next(row for row in shown if "×" in row)
    spiked = [row for row in shown[4:9] if "⡇" in row or "⢸" in row]
    assert len(spiked) >= 2
    assert foot.index("×") > spiked[0].index("⡇" if "⡇" in spiked[0] else "⢸")


async def test_after_a_resume_the_newest_attempt_counts_and_the_earlier_one_stays_to_be_seen(own_home: Path) -> None:
    run = recorded.resumed(own_home)
    async with app_on(run.folder).run_test(size=(120, 40)) as pilot:
        await until(pilot, "attempt 2", "earlier attempt", "215 / 400")
        assert isinstance(pilot.app.screen, MonitorScreen)
        loss = pilot.app.screen._picture.series["loss"]
        assert loss.steps[-1] == 215
        assert loss.superseded is not None
        assert loss.superseded.steps[-1] == 230


async def test_on_a_cpu_there_is_host_memory_and_no_empty_gpu_panel(own_home: Path) -> None:
    run = recorded.healthy(own_home, gpu=False)
    async with app_on(run.folder).run_test(size=(120, 40)) as pilot:
        shown = await until(pilot, "memory (RSS)", "tokens/s", "seconds per step")
        assert "GPU" not in shown


async def test_before_the_first_step_it_says_what_goes_on_and_how_far_it_is(own_home: Path) -> None:
    run = recorded.preparing(own_home)
    async with app_on(run.folder).run_test(size=(80, 24)) as pilot:
        shown = await until(pilot, "… preparing", "loading the weights: 5.2 GiB of 15.3 GiB", "40%|████")
        assert "20%" not in shown


@pytest.mark.parametrize("size", SIZES)
async def test_an_out_of_memory_stays_with_its_remedy_and_a_key(own_home: Path, size: tuple[int, int]) -> None:
    run = recorded.out_of_memory(own_home)
    async with app_on(run.folder).run_test(size=size) as pilot:
        shown = await until(pilot, "✗ failed: Out of memory", "Halve the micro-batch", "r Resume", "no charts", "f Fix")
        assert "t Stop" not in shown
        await pilot.press("4")
        await until(pilot, "Halve the micro-batch", "nothing yet")


async def test_one_key_starts_the_run_again_with_the_change_that_its_remedy_names(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def relaunch(run: Run, changes: list[str]) -> Run:
        asked.append((run.id, changes))
        return Run(recorded.Recording(own_home, "second", id="2026-11-22-second").folder)

    run = recorded.out_of_memory(own_home)
    monkeypatch.setattr("ftui.screens.monitor_actions.relaunch", relaunch)
    async with app_on(run.folder).run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, "f Fix and rerun", "f starts it again with train.micro_batch=1")
        await pilot.press("f")
        await until(pilot, "Start it again with train.micro_batch=1?")
        await pilot.press("y")
        await until(pilot, "ftui watch 2026-11-22-second")
    assert asked == [(run.folder.name, ["train.micro_batch=1"])]


@pytest.mark.parametrize("size", SIZES)
async def test_what_the_curves_show_stands_on_the_screen_with_its_remedy_and_one_key_takes_it(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    asked: list[list[str]] = []

    def relaunch(run: Run, changes: list[str]) -> Run:
        asked.append(changes)
        return Run(recorded.Recording(own_home, "second", id="2026-11-22-second").folder)

    run = recorded.healthy(own_home)
    run.emit(
        "diagnosis", 260, name="overfitting", severity="warning",
        text="Overfitting: since step 120 the validation loss rose from 1.09 to 1.2 while the training loss fell.",
        hint="Stop at the best checkpoint, step 120; next time: epochs 3 → 0.9, rank 16 → 8.",
        evidence={"best": 1.09}, change={"train.epochs": 0.9, "adapter.rank": 8},
    )
    run.flush()
    monkeypatch.setattr("ftui.screens.monitor_actions.relaunch", relaunch)
    async with app_on(run.folder).run_test(size=size, notifications=True) as pilot:
        shown = await until(pilot, "! Overfitting: since step 120", "→ Stop at the best checkpoint", "f Fix and rerun")
        assert "● evaluation" in shown
        await pilot.press("f")
        await until(pilot, "Start it again with train.epochs=0.9, adapter.rank=8?", "saves and stops first")
        await pilot.press("y")
        await until(pilot, "ftui watch 2026-11-22-second")
    assert asked == [["train.epochs=0.9", "adapter.rank=8"]]


def test_a_run_is_launched_again_from_its_own_recipe_with_the_change(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ftui.recipe import write
    from ftui.recipe.document import Recipe
    from ftui.screens.monitor_actions import relaunch

    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "Hello", "completion": "Good day"}\n' * 40)
    recording = recorded.out_of_memory(own_home)
    recipe = Recipe.model_validate({
        "model": {"base": "Qwen/Qwen3-0.6B"}, "data": {"sources": [{"path": str(rows), "columns": {}}]},
        "train": {"micro_batch": 4, "effective_batch": 8},
    })
    (recording.folder / "recipe.yaml").write_text(write(recipe))
    # The package exports a function of this name, which hides the module from a dotted path.
    launching = importlib.import_module("ftui.runs.launch")
    monkeypatch.setattr(launching, "start", lambda run: None)
    monkeypatch.setattr(launching, "obstacles", lambda layout: iter(()))
    new = relaunch(Run(recording.folder), ["train.micro_batch=2"])
    again = new.recipe()
    assert again is not None
    assert (again.train.micro_batch, again.train.effective_batch) == (2, 8)
    assert "--set train.micro_batch=2" in new.info.command


@pytest.mark.parametrize(("hint", "change"), [
    ("Try --set train.micro_batch=1, or --set train.checkpointing=True.", "train.micro_batch=1"),
    ("Go on with (--set data.max_length=512).", "data.max_length=512"),
    ("Choose a smaller base model.", None),
    (None, None),
])
def test_the_first_change_in_a_hint_is_the_one_that_a_key_can_make(hint: str | None, change: str | None) -> None:
    from ftui.screens.monitor_words import remedy

    assert remedy(hint) == change


async def test_a_finished_run_says_where_the_result_is_and_what_to_do_next(own_home: Path) -> None:
    run = recorded.finished(own_home)
    async with app_on(run.folder).run_test(size=(120, 40)) as pilot:
        # The path may be broken over two lines, wherever its end falls.
        await until(pilot, "✓ finished", "The result is in", str(run.folder)[:20], "a Try it", "o Report")
        await pilot.press("y")
        shown = await until(pilot, "scp -r", "ftui try", "make the run again")
        assert "ftui launch chat-qlora-24g" in shown
        await pilot.press("escape", "o")
        await until(pilot, "Use it", "rsync")


async def test_a_worker_that_was_killed_shows_as_crashed_with_the_way_back(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    beat = json.loads((run.folder / "heartbeat").read_text())
    (run.folder / "heartbeat").write_text(json.dumps(beat | {"started": 1.0}))
    async with app_on(run.folder).run_test(size=(80, 24)) as pilot:
        await until(pilot, "✗ crashed", "r Resume", "goes on from the last checkpoint")


async def test_new_steps_are_drawn_while_one_watches(own_home: Path) -> None:
    run = recorded.healthy(own_home, 100)
    async with app_on(run.folder).run_test(size=(80, 24)) as pilot:
        await until(pilot, "100 / 400 steps")
        run.train(recorded.metrics(140, 400, start=101), first=101)
        await until(pilot, "140 / 400 steps", "at 120")


async def test_a_run_that_was_begun_anew_in_the_same_file_is_drawn_anew(own_home: Path) -> None:
    run = recorded.healthy(own_home, 100)
    async with app_on(run.folder).run_test(size=(80, 24)) as pilot:
        await until(pilot, "100 / 400 steps")
        events = run.folder / "events.jsonl"
        events.write_text("".join(events.read_text().splitlines(True)[:40]))
        await until(pilot, "/ 400 steps")
        screen = pilot.app.screen
        assert isinstance(screen, MonitorScreen)
        for _ in range(100):
            await pilot.pause(0.05)
            if screen._picture.restarts:
                break
        assert screen._picture.series["loss"].steps[-1] < 100


async def test_escape_sequences_in_log_samples_and_events_are_shown_never_sent(own_home: Path) -> None:
    run = recorded.healthy(own_home, 30)
    evil = "\x1b]0;owned\x07\x1b[2Jboo"
    run.emit("sample", 30, prompt=evil, text=evil, base=evil, index=0)
    run.emit("warning", 30, text=evil, hint="[red]not markup[/red]")
    run.flush()
    run.log(f"{evil}\n")
    async with app_on(run.folder).run_test(size=(120, 40)) as pilot:
        await until(pilot, "30 / 400 steps")
        for tab in "2345":
            await pilot.press(tab)
            shown = await until(pilot, "plan")
            assert "\x1b" not in shown
            if tab in "234":
                assert "\\x1b[2Jboo" in shown
            if tab == "3":
                assert "[red]not markup[/red]" in shown


async def test_samples_stand_beside_the_base_models_and_can_be_turned_back(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    async with app_on(run.folder).run_test(size=(120, 40)) as pilot:
        await until(pilot, "260 / 400 steps")
        await pilot.press("2")
        await until(pilot, "step 240", "evaluation 6 of 6", "base model", "safe place first")
        await pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket", "left_square_bracket")
        shown = await until(pilot, "step 80", "evaluation 2 of 6")
        assert "safe place first" not in shown
        await pilot.press(*["right_square_bracket"] * 9)
        await until(pilot, "step 240")


async def test_the_plan_is_held_against_what_was_measured(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    async with app_on(run.folder).run_test(size=(120, 40)) as pilot:
        await until(pilot, "260 / 400 steps")
        await pilot.press("5")
        await until(pilot, "peak memory (GPU)", "12.1 GiB", "12.6 GiB", "+4 %", "adapter.rank", "Qwen/Qwen3-8B")


async def test_keys_change_how_the_charts_are_looked_at_and_0_brings_all_back(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    async with app_on(run.folder).run_test(size=(80, 24)) as pilot:
        await until(pilot, "smoothed 0.9")
        await pilot.press("l", "s", "plus")
        await until(pilot, "loss (log)", "smoothed 0.95", "steps 130–260")
        await pilot.press("left")
        await until(pilot, "steps 98–228")
        await pilot.press("S", "S", "S", "S", "S", "S")
        await pilot.pause()
        assert "each step" not in text(pilot)
        await pilot.press("0", "m")
        await until(pilot, "learning rate  ")
        assert rows(pilot)[4].startswith(" learning rate")
        await pilot.press("M", "x")
        await until(pilot, "2:03", "8:19", " loss   ")


async def test_what_one_asks_of_a_run_lands_in_its_inbox(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    async with app_on(run.folder).run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, "t Stop", "c Checkpoint")
        for key, name in (("c", "checkpoint"), ("e", "evaluate"), ("t", "stop")):
            await pilot.press(key)
            for _ in range(100):
                await pilot.pause(0.02)
                if commands := take(run.folder).commands:
                    break
            assert [command.name for command in commands] == [name]


async def test_stopping_at_once_asks_first(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recorded.healthy(own_home)
    asked: list[bool] = []
    monkeypatch.setattr("ftui.runs.control.stop", lambda run, now=False: asked.append(now))
    async with app_on(run.folder).run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, "t Stop")
        await pilot.press("T")
        await until(pilot, "Stop this run at once?")
        await pilot.press("n")
        await pilot.press("T")
        await until(pilot, "Stop this run at once?")
        await pilot.press("y")
        await until(pilot, "It was stopped.")
    assert asked == [True]


async def test_a_refusal_is_said_and_nothing_is_lost(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftui.errors import Refused

    def refuse(run: Run) -> None:
        raise Refused("The disk is full.", "Free some space.")

    run = recorded.out_of_memory(own_home)
    monkeypatch.setattr("ftui.runs.control.resume", refuse)
    async with app_on(run.folder).run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, "r Resume")
        await pilot.press("r")
        await until(pilot, "The disk is full.", "Free some space.")


async def test_looking_never_touches_the_run(own_home: Path) -> None:
    run = recorded.healthy(own_home)

    def facts() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in run.folder.rglob("*")}

    before = facts()
    async with app_on(run.folder).run_test(size=(80, 24)) as pilot:
        await until(pilot, "260 / 400 steps")
        await pilot.press("2", "3", "4", "5", "1", "l", "escape")
        await pilot.pause()
    assert facts() == before


async def test_an_unknown_run_is_said_in_place(own_home: Path) -> None:
    recorded.healthy(own_home)
    async with FtuiApp(open_run="nothing-like-it").run_test(size=(80, 24)) as pilot:
        await until(pilot, "There is no run 'nothing-like-it'")


async def test_no_keys_of_the_charts_work_on_the_log(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    async with app_on(run.folder).run_test(size=(80, 24)) as pilot:
        await until(pilot, "l Log scale")
        await pilot.press("4")
        shown = await until(pilot, "step 1: loss 2.47")
        assert "Log scale" not in shown


async def test_a_run_written_by_the_real_writer_is_followed(own_home: Path) -> None:
    recording = recorded.Recording(own_home, total=20)
    (recording.folder / "events.jsonl").write_text("")
    with RunWriter(recording.folder) as writer:
        writer.emit("status", state="running", text="training")
        for step in range(1, 11):
            writer.emit("metric", step, loss=float("nan") if step == 5 else 3.0 - step / 10, tokens_per_second=100.0)
            writer.emit("progress", step, done=step, total=20, unit="step")
        async with app_on(recording.folder).run_test(size=(80, 24)) as pilot:
            await until(pilot, "▶ running", "10 / 20 steps", "×")
            writer.emit("end", 10, status="stopped", text="Stopped as asked at step 10.", hint="r goes on.")
            await until(pilot, "■ stopped: Stopped as asked at step 10.")


def test_several_viewers_read_the_same_past(own_home: Path) -> None:
    run = recorded.healthy(own_home)
    pictures = []
    for _ in range(2):
        watch, picture = Watch(run.folder.name), Picture()
        watch.open()
        behind = True
        while behind:
            look = watch.look()
            picture.take(look.events)
            behind = look.behind
        pictures.append(picture)
    assert list(pictures[0].series["loss"]) == list(pictures[1].series["loss"])
    assert len(pictures[0].series["loss"]) == 260


def test_numbers_that_no_axis_can_take_are_gaps(own_home: Path) -> None:
    run = recorded.Recording(own_home)
    run.emit("metric", 1, loss=10**400, flag=True, note="text", learning_rate=1e-4)
    run.emit("metric", -4, loss=1.0)
    run.emit("metric", 2, loss=1.0)
    run.emit("evaluation", 2, eval_loss=None)
    run.flush()
    from ftui.runs.follow import history

    picture = Picture()
    picture.take(history(Run(run.folder)))
    assert list(picture.series["loss"]) == [(2, 1.0)]
    assert list(picture.series["loss"].gaps) == [1]
    assert "flag" not in picture.series
    assert "note" not in picture.series
    assert picture.best is None


def test_the_log_shows_a_progress_bar_as_it_stands_last_and_follows(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    tail = Tail(log)
    assert not tail.read()
    log.write_bytes(b"one\n 10%|#\r 50%|##\r")
    assert tail.read()
    assert list(tail.lines) == ["one"]
    assert tail.partial == " 50%|##"
    with log.open("ab") as file:
        file.write(b"100%|###\ntwo\n\xff\xfe")
    assert tail.read()
    assert list(tail.lines) == ["one", "100%|###", "two"]
    assert not tail.read()
    log.write_text("anew\n")
    assert tail.read()
    assert tail.lines[-1] == "anew"


def test_of_a_huge_log_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("x" * 99 + "\n" + "line\n" * 400_000)
    tail = Tail(log)
    tail.read()
    assert tail.skipped > 1_000_000
    assert len(tail.lines) == 5000


def test_the_monitor_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from ftui.screens.app import FtuiApp; from ftui.screens.monitor import MonitorScreen; "
        "from ftui.screens.runs import RunsScreen; "
        "print([m for m in ('torch', 'numpy', 'transformers', 'peft', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
