"""The status is the truth about files and processes at this moment."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.runs import heartbeat, process
from ftui.runs import lines as parsing
from ftui.runs.folder import Run
from ftui.runs.heartbeat import Heartbeat
from ftui.runs.process import Identity, identify, start_time, whereabouts
from ftui.runs.status import status
from ftui.runs.writer import RunWriter


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def beat(run: Run, worker: Identity | None = None, *, attempt: int = 1, ago: float = 0.0, **changes: Any) -> None:
    """Write a heartbeat by hand: by default this process's, just now."""
    me = worker or identify()
    assert me is not None
    heartbeat.write(run.heartbeat, Heartbeat(replace(me, **changes), attempt, time.time() - ago))


def lines(run: Run, *events: dict[str, Any]) -> None:
    """Append events by hand."""
    with run.events.open("a") as file:
        for seq, event in enumerate(events, 1):
            file.write(json.dumps({"seq": seq, "attempt": 1, "time": time.time(), "data": {}} | event) + "\n")


def test_a_run_just_made_is_queued_and_one_never_started_is_crashed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(run).state == "queued"
    created = run.info.created
    monkeypatch.setattr(time, "time", lambda: created + 31)
    now = status(run)
    assert (now.state, now.text) == ("crashed", "It was never started.")
    assert run.id in (now.hint or "")


def test_a_worker_that_lives_but_says_nothing_yet_is_preparing(run: Run) -> None:
    beat(run)
    now = status(run)
    assert (now.state, now.pid) == ("preparing", os.getpid())


def test_a_running_worker_shows_step_total_numbers_and_time_left(run: Run) -> None:
    beat(run)
    began = time.time() - 10
    lines(run, {"kind": "status", "data": {"state": "running", "text": "Training."}, "time": began})
    for step in range(1, 11):
        lines(
            run,
            {"kind": "metric", "step": step, "data": {"loss": 1 / step}, "time": began + step},
            {"kind": "progress", "step": step, "data": {"text": "Training", "done": step, "total": 40, "unit": "step"},
             "time": began + step},
        )
    lines(run, {"kind": "evaluation", "step": 10, "data": {"eval_loss": 3.0, "best": True}})
    now = status(run)
    assert (now.state, now.step, now.total, now.done) == ("running", 10, 40, 0.25)
    assert now.metrics == {"loss": 0.1, "eval_loss": 3.0}
    assert now.eta_seconds == pytest.approx(30, abs=1)
    assert now.since == began


def test_a_dead_worker_without_a_last_word_is_crashed(run: Run, other_process: subprocess.Popen[bytes]) -> None:
    worker = identify(other_process.pid)
    assert worker is not None
    beat(run, worker)
    lines(run, {"kind": "status", "data": {"state": "running"}}, {"kind": "metric", "step": 7, "data": {"loss": 1.0}})
    assert status(run).state == "running"
    other_process.kill()
    while whereabouts(worker) == "alive":
        time.sleep(0.01)
    # Not yet waited for: a zombie has the pid and the start time and does no work.
    now = status(run)
    assert now.state == "crashed"
    assert "step 7" in now.text
    assert "resume" in (now.hint or "")


def test_a_reused_pid_is_not_taken_for_the_worker(run: Run) -> None:
    me = identify()
    assert me is not None
    beat(run, started=me.started - 1)
    lines(run, {"kind": "metric", "step": 1, "data": {"loss": 1.0}})
    assert status(run).state == "crashed"


def test_a_clock_set_back_or_forth_does_not_kill_a_run(
    run: Run, other_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = identify(other_process.pid)
    beat(run, worker)
    lines(run, {"kind": "status", "data": {"state": "running"}}, {"kind": "metric", "step": 1, "data": {"loss": 1.0}})
    real = time.time
    for shift in (-86_400.0, 86_400.0):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        assert status(run).state == "running"


def test_start_times_do_not_depend_on_the_clock() -> None:
    ticks = start_time(os.getpid())
    assert ticks is not None
    up = float((process.PROC / "uptime").read_text().split()[0])
    assert 0 < ticks / os.sysconf("SC_CLK_TCK") <= up


def test_an_end_counts_even_while_its_process_is_still_tidying_up(run: Run) -> None:
    beat(run)
    lines(
        run,
        {"kind": "end", "data": {"status": "finished", "metrics": {"train_loss": 1.0}, "output": "/x"}},
        {"kind": "warning", "data": {"text": "The command at the end failed."}},
    )
    now = status(run)
    assert (now.state, now.metrics, now.output, now.pid) == ("finished", {"train_loss": 1.0}, "/x", None)


def test_a_resume_is_preparing_and_crashed_if_it_dies_before_a_word(
    run: Run, other_process: subprocess.Popen[bytes]
) -> None:
    lines(run, {"kind": "metric", "step": 5, "data": {"loss": 1.0}}, {"kind": "end", "data": {"status": "stopped"}})
    assert status(run).state == "stopped"
    worker = identify(other_process.pid)
    beat(run, worker, attempt=2)
    now = status(run)
    assert (now.state, now.attempt, now.step) == ("preparing", 2, 5)
    other_process.kill()
    other_process.wait()
    now = status(run)
    assert now.state == "crashed"
    assert "log" in (now.hint or "")


def test_another_hosts_worker_is_believed_while_its_heart_beats_and_unreachable_after(run: Run) -> None:
    lines(run, {"kind": "status", "data": {"state": "running"}}, {"kind": "metric", "step": 1, "data": {"loss": 1.0}})
    beat(run, host="gpu-7", boot="another")
    assert status(run).state == "running"
    beat(run, host="gpu-7", boot="another", ago=60)
    now = status(run)
    assert now.state == "unreachable"
    assert "gpu-7" in now.text
    assert not now.live
    assert not now.over


def test_another_containers_worker_on_this_machine_is_crashed_once_it_falls_silent(run: Run) -> None:
    lines(run, {"kind": "metric", "step": 1, "data": {"loss": 1.0}})
    beat(run, host="3f2a", namespace="pid:[1]")
    assert status(run).state == "running"
    beat(run, host="3f2a", namespace="pid:[1]", ago=60)
    assert status(run).state == "crashed"


def test_a_machine_that_was_started_again_has_killed_its_runs(run: Run) -> None:
    lines(run, {"kind": "metric", "step": 1, "data": {"loss": 1.0}})
    beat(run, boot="before")
    assert status(run).state == "crashed"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff" * 50, b'{"pid": 1e999}'])
def test_a_damaged_heartbeat_says_that_there_was_a_worker_and_no_more(run: Run, content: bytes) -> None:
    assert status(run).state == "queued"
    run.heartbeat.write_bytes(content)
    assert (status(run).state, status(run).text) == ("crashed", "Its worker is gone and left no trace.")


def test_the_status_of_a_long_run_reads_only_its_end(run: Run) -> None:
    with RunWriter(run.path) as writer:
        writer.emit("status", state="running", text="Training.")
        for step in range(20_000):
            writer.emit("metric", step, loss=1.0, learning_rate=1e-4, grad_norm=0.5)
        began = time.perf_counter()
        now = status(run)
        assert time.perf_counter() - began < 0.5
    assert (now.state, now.step) == ("running", 19_999)


def test_nothing_in_a_folder_without_description_raises(run: Run) -> None:
    (run.path / "run.json").write_text("nothing")
    assert status(Run(run.path)).state == "crashed"


def test_identities_of_no_process_are_none() -> None:
    assert identify(0) is None
    assert identify(-1) is None
    assert identify(2**40) is None
    for data in (None, [], {}, {"pid": []}, {"pid": 1, "started": "x", "host": ""}):
        assert Identity.from_dict(data) is None




def test_looking_again_at_a_long_run_reads_its_newest_events_only(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    plain = parsing.parse_line

    def counted(line: bytes) -> Any:
        nonlocal read
        read += bool(line)
        return plain(line)

    for module in (parsing, importlib.import_module("ftui.runs.status")):
        monkeypatch.setattr(module, "parse_line", counted)
    beat(run)
    said = [{"kind": "status", "data": {"state": "running", "text": "Training."}}]
    lines(run, *said, *({"kind": "metric", "step": step, "data": {"loss": 1.0}} for step in range(1, 1500)))
    assert status(run).state == "running"
    assert read > 1400
    read = 0
    with run.events.open("a") as file:
        for seq, kind in enumerate(("metric", "status", "metric"), 1501):
            data = {"state": "paused", "text": "The disk is full."} if kind == "status" else {"loss": 1.0}
            event = {"seq": seq, "attempt": 1, "time": time.time(), "kind": kind, "step": 1500, "data": data}
            file.write(json.dumps(event) + "\n")
        bar = {"text": "Training", "done": 1500, "total": 2000, "unit": "step"}
        file.write(json.dumps({"seq": 1504, "attempt": 1, "time": time.time(), "kind": "progress", "data": bar}) + "\n")
    assert (status(run).state, status(run).total, read) == ("paused", 2000, 4)
    read = 0
    assert (status(run).state, read) == ("paused", 0)
    text = run.events.read_text()
    run.events.write_text(text.replace('"done": 1500, "total": 2000', '"done": 1600, "total": 2400'))
    assert (status(run).total, read > 200) == (2400, True), "another file under the same name"


def test_a_torn_line_is_taken_in_once_its_end_has_come(run: Run) -> None:
    beat(run)
    lines(run, {"kind": "status", "data": {"state": "running", "text": "Training."}})
    assert status(run).step is None
    line = json.dumps({"seq": 2, "attempt": 1, "time": time.time(), "kind": "metric", "step": 7, "data": {}}) + "\n"
    for part in (line[:20], line[20:-1]):
        with run.events.open("a") as file:
            file.write(part)
        assert status(run).step is None
    with run.events.open("a") as file:
        file.write("\n")
    assert status(run).step == 7


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(
    st.sampled_from(["metric", "status", "progress", "end", "evaluation", "warning"]), st.integers(0, 3),
    st.integers(0, 2)), max_size=14), st.integers(0, 13))
def test_looking_twice_tells_all_that_looking_once_does(run: Run, events: list[tuple[str, int, int]], cut: int) -> None:
    found, attempt = [], 1
    for kind, step, later in events:
        attempt += later == 2
        data = {"metric": {"loss": step}, "progress": {"done": step, "total": 9, "unit": "step", "text": "Bar"},
                "status": {"state": "running", "text": f"At {step}"}, "end": {"status": "stopped", "text": "Stopped."}}
        found.append(json.dumps({"seq": len(found), "attempt": attempt, "time": 1e9 + len(found), "kind": kind,
                                 "step": step, "data": data.get(kind, {"eval_loss": 1.0})}) + "\n")
    one, other = (Run(run.path.with_name(os.urandom(8).hex())) for _ in range(2))
    shutil.copytree(run.path, one.path)
    one.events.write_text("".join(found[:cut]))
    status(one)
    with one.events.open("a") as file:
        file.write("".join(found[cut:]))
    twice = status(one)
    shutil.copytree(one.path, other.path)
    once = status(other)
    for each in (one, other):
        shutil.rmtree(each.path)
    told = once.model_dump(exclude={"hint", "metrics"}, exclude_none=True)
    # What is further back than the one look went, the two may have seen.
    assert twice.model_dump(include=set(told)) == told
    assert twice.metrics.items() >= once.metrics.items()
