"""The worker's frame: whatever a job does, the run ends with a sentence."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from ftui.errors import BadInput
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs import inbox
from ftui.runs.document import Event
from ftui.runs.folder import Run, create
from ftui.runs.follow import history
from ftui.runs.inbox import Command
from ftui.runs.status import status
from ftui.runs.writer import RunWriter
from ftui.worker.__main__ import main
from ftui.worker.context import JobContext


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def end(run: Run) -> Event:
    """The one end of the newest attempt."""
    (last,) = [event for event in history(run) if event.kind == "end" and event.attempt == status(run).attempt]
    return last


def test_a_finished_job_ends_with_its_own_words(run: Run) -> None:
    def job(context: JobContext) -> None:
        context.output.mkdir()
        context.finish("Counted to 3.", {"train_loss": 0.5})

    assert main(run.path, job) == 0
    assert end(run).data == {
        "status": "finished", "text": "Counted to 3.", "hint": None, "metrics": {"train_loss": 0.5},
        "output": str(run.output),
    }


def test_a_job_that_just_returns_is_done(run: Run) -> None:
    assert main(run.path, lambda context: None) == 0
    assert (end(run).data["status"], end(run).data["text"]) == ("finished", "Done.")


@pytest.mark.parametrize(
    ("error", "text", "hint"),
    [
        (BadInput("The model is not there.", "Name another."), "The model is not there.", "Name another."),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "The GPU ran out of memory: CUDA out",
         "train.micro_batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory (RAM)", "train.micro_batch"),
        (RuntimeError("CUDA error: out of memory"), "The GPU ran out", "train.micro_batch"),
        (MemoryError(), "ran out of memory (RAM)", "choose a smaller"),
        (OSError(28, "No space left on device", "/run/x"), "The disk is full while writing /run/x.", "Free some space"),
        (PermissionError(13, "Permission denied", "/run/x"), "Permission denied: /run/x.", "resume"),
        (KeyboardInterrupt(), "Stopped at once", "resume"),
        (SystemExit(3), "A library ended the process with 3.", "log"),
        (ModuleNotFoundError("No module named 'wandb'"), "No module named 'wandb'", "ftui probe"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero", "log"),
        (ValueError("\n\nfirst\nsecond" + "x" * 1000), "ValueError: first", "log"),
        (ValueError(), "ValueError: no message.", "log"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_is_thrown_becomes_one_sentence_and_a_remedy(
    run: Run, capfd: pytest.CaptureFixture[str], error: BaseException, text: str, hint: str
) -> None:
    def job(context: JobContext) -> None:
        raise error

    code = main(run.path, job)
    said = end(run).data
    assert text in said["text"]
    assert "\n" not in said["text"]
    assert hint in said["hint"]
    stopped = isinstance(error, KeyboardInterrupt)
    assert (said["status"], code) == (("stopped", 0) if stopped else ("failed", 1))
    # The traceback goes to stderr, which is worker.log.
    assert type(error).__name__ in capfd.readouterr().err


def test_a_kind_of_job_that_this_ftui_lacks_is_said(run: Run) -> None:
    (run.path / "run.json").write_text((run.path / "run.json").read_text().replace('"count"', '"trace"', 1))
    assert main(run.path) in (0, 1)
    assert end(run).data["text"]


def test_a_damaged_recipe_is_said_in_the_end_event() -> None:
    run = create("train", "x", recipe=assign(Recipe(), {"model.base": "demo"}), command="")
    (run.path / "recipe.yaml").write_text("model: [")
    assert main(run.path, lambda context: None) == 1
    assert "recipe.yaml" in end(run).data["text"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_a_stop_that_saves(run: Run, number: signal.Signals) -> None:
    def job(context: JobContext) -> None:
        assert not context.stop_asked
        os.kill(os.getpid(), number)
        assert context.stop_asked
        assert Command("stop") in context.commands()
        assert context.commands() == []
        context.finish(f"Saved; {context.stop_reason}.")

    assert main(run.path, job) == 0
    assert (end(run).data["status"], end(run).data["text"]) == ("stopped", f"Saved; it received {number.name}.")


def test_a_second_interrupt_is_meant_at_once(run: Run) -> None:
    def job(context: JobContext) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        raise AssertionError("never reached")

    assert main(run.path, job) == 0
    assert end(run).data["text"] == "Stopped at once, without saving."


def test_a_hangup_means_nothing(run: Run) -> None:
    def job(context: JobContext) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not context.stop_asked

    assert main(run.path, job) == 0
    assert end(run).data["status"] == "finished"


def test_commands_reach_the_job_and_a_stop_is_seen_within_half_a_second(run: Run) -> None:
    def job(context: JobContext) -> None:
        inbox.send(run, "evaluate")
        inbox.send(run, "sample", prompt="Hi")
        assert context.commands() == [Command("evaluate"), Command("sample", {"prompt": "Hi"})]
        inbox.send(run, "stop")
        until = time.monotonic() + 2
        while not context.stop_asked and time.monotonic() < until:
            time.sleep(0.01)
        context.finish("Stopped.")

    assert main(run.path, job) == 0
    assert end(run).data["status"] == "stopped"


def test_a_job_that_finished_before_it_saw_the_stop_has_finished(run: Run) -> None:
    assert main(run.path, lambda context: inbox.send(run, "stop")) == 0
    assert end(run).data["status"] == "finished"
    assert inbox.take(run.path).commands == [], "the next attempt must not find it"


def test_a_time_limit_asks_for_a_stop() -> None:
    recipe = assign(Recipe(), {"model.base": "demo", "compute.max_hours": 1e-9})
    run = create("train", "x", recipe=recipe, command="")

    def job(context: JobContext) -> None:
        assert context.stop_asked
        context.finish(f"Saved, because {context.stop_reason}.")

    assert main(run.path, job) == 0
    assert end(run).data["text"] == "Saved, because its time limit was reached."


def test_a_second_worker_leaves_the_first_ones_events_alone(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with RunWriter(run.path):
        assert main(run.path, lambda context: None) == 2
    assert history(run) == []
    assert "already" in capfd.readouterr().err


def test_progress_is_thinned_out_but_never_its_first_and_last(run: Run) -> None:
    def job(context: JobContext) -> None:
        for done in range(1000):
            context.progress("Tokenizing", done + 1, 1000, unit="row")
        context.progress("Training", 1, 2)

    main(run.path, job)
    moves = [event for event in history(run) if event.kind == "progress"]
    assert moves[0].data["done"] == 1
    assert [event.data["done"] for event in moves][-2:] == [1000, 1]
    assert len(moves) < 20
    assert [event.step for event in moves][-2:] == [None, 1]


def test_a_job_cannot_write_the_end_itself(run: Run) -> None:
    with RunWriter(run.path) as writer, pytest.raises(ValueError, match="finish"):
        JobContext(run, writer).emit("end")


def test_a_job_without_a_recipe_that_needs_one_says_so(run: Run) -> None:
    assert main(run.path, lambda context: context.recipe() and None) == 1
    assert "no recipe.yaml" in end(run).data["text"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path, lambda context: None) == 2
    assert "no run folder" in capfd.readouterr().err


