"""Events: one writer, any number of readers, whatever the disk does."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.errors import BadInput, Refused
from ftui.runs import writer as writing
from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import Curves, Follower, curve, history
from ftui.runs.lines import CHUNK, backwards, parse_line
from ftui.runs.status import status
from ftui.runs.writer import RunWriter


def test_events_come_back_as_they_were_written(run: Run) -> None:
    with RunWriter(run.path) as writer:
        writer.emit("metric", 1, loss=1.5)
        writer.emit("sample", 1, prompt="größer\n", text="\x1b[31m \ud800")
    first, second = history(run)
    assert (first.seq, first.attempt, first.step, first.data) == (1, 1, 1, {"loss": 1.5})
    assert second.data["prompt"] == "größer\n"


def test_what_is_not_finite_becomes_null_and_foreign_numbers_plain_ones(run: Run) -> None:
    class Scalar:
        def tolist(self) -> float:
            return 2.5

    with RunWriter(run.path) as writer:
        writer.emit("metric", 1, loss=math.nan, norm=math.inf, inner={"a": [-math.inf, Scalar()]}, path=Path("/x"))
    assert history(run)[0].data == {"loss": None, "norm": None, "inner": {"a": [None, 2.5]}, "path": "/x"}


def test_a_second_writer_is_refused_in_this_process_and_in_another(run: Run) -> None:
    code = (
        "import sys; from pathlib import Path; from ftui.runs.writer import RunWriter\n"
        "with RunWriter(Path(sys.argv[1])): pass"
    )
    with RunWriter(run.path) as writer:
        with pytest.raises(Refused):
            RunWriter(run.path).__enter__()
        other = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True)
        assert "already has a worker (process" in other.stderr
        # The refused one in this process must not have lost our lock.
        other = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True)
        assert "already has a worker" in other.stderr
        writer.emit("metric", 1, loss=1)
    assert subprocess.run([sys.executable, "-c", code, str(run.path)]).returncode == 0


def test_where_the_filesystem_has_no_locks_the_content_counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(writing.fcntl, "lockf", no_locks)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        holder = writing.identify(sleeper.pid)
        assert holder is not None
        (run.path / "lock").write_text(json.dumps(holder.as_dict()))
        with pytest.raises(Refused, match=f"process {sleeper.pid}"):
            RunWriter(run.path).__enter__()
    finally:
        sleeper.kill()
        sleeper.wait()
    with RunWriter(run.path):
        pass


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run folder"):
        RunWriter(tmp_path).__enter__()
    assert list(tmp_path.glob("lock")) == []


def test_a_new_attempt_goes_on_counting_and_begins_a_new_line(run: Run) -> None:
    with RunWriter(run.path) as writer:
        writer.emit("metric", 1, loss=1)
    with run.events.open("ab") as file:
        file.write(b'{"v": 1, "seq": 2, "attem')
    with RunWriter(run.path) as writer:
        assert writer.attempt == 2
        writer.emit("metric", 2, loss=2)
    follower = Follower(run)
    assert [(event.seq, event.attempt) for event in follower.poll()] == [(1, 1), (2, 2)]
    assert follower.garbage == 1


def test_a_writer_that_closes_for_another_keeps_its_attempt(run: Run) -> None:
    with RunWriter(run.path) as writer:
        writer.emit("metric", 1, loss=1)
    with RunWriter(run.path, same_attempt=True) as writer:
        writer.emit("end", status="stopped", text="Killed.")
    assert [event.attempt for event in history(run)] == [1, 1]


class FullDisk:
    """os.write that takes `room` more bytes and then says that the disk is full."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, file: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self.write(file, data[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 1, 57, 150, 400])
def test_a_full_disk_holds_events_back_and_takes_them_in_order_once_it_is_freed(
    run: Run, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    with RunWriter(run.path) as writer:
        disk = FullDisk(room)
        monkeypatch.setattr(writing.os, "write", disk)
        for step in range(20):
            writer.emit("metric", step, loss=step)
        assert writer.unwritten > 0
        disk.room = 1 << 30
        writer.emit("metric", 20, loss=20)
        assert writer.unwritten == 0
    assert [event.step for event in history(run)] == list(range(21))


def test_a_full_disk_still_takes_the_last_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunWriter(run.path) as writer:
        disk = FullDisk(0)
        monkeypatch.setattr(writing.os, "write", disk)
        for step in range(1000):
            writer.emit("metric", step, loss=step)

        def freed(path: Path, missing_ok: bool = False) -> None:
            if path.name == ".reserve" and path.exists():
                disk.room += 400
                os.unlink(path)

        monkeypatch.setattr(Path, "unlink", freed)
        writer.emit("end", status="failed", text="The disk is full.")
        monkeypatch.undo()
    now = status(run)
    assert (now.state, now.text) == ("failed", "The disk is full.")


def test_the_reserve_is_given_back(run: Run) -> None:
    with RunWriter(run.path):
        assert (run.path / ".reserve").stat().st_size == writing.RESERVE_BYTES
    assert not (run.path / ".reserve").exists()


def test_a_torn_last_line_waits_for_its_end(run: Run) -> None:
    follower = Follower(run)
    assert follower.poll() == []
    line = b'{"v":1,"seq":1,"attempt":1,"time":1.0,"kind":"metric","step":1,"data":{}}\n'
    for cut in range(1, len(line)):
        run.events.write_bytes(line[:cut])
        assert follower.poll() == []
    run.events.write_bytes(line)
    assert [event.seq for event in follower.poll()] == [1]
    assert follower.poll() == []


def test_a_file_that_was_cut_or_replaced_is_read_anew(run: Run) -> None:
    def line(seq: int) -> bytes:
        return json.dumps({"seq": seq, "attempt": 1, "time": 1.0, "kind": "metric"}).encode() + b"\n"

    follower = Follower(run)
    run.events.write_bytes(line(1) + line(2))
    assert len(follower.poll()) == 2
    os.truncate(run.events, len(line(1)))
    assert [event.seq for event in follower.poll()] == [1]
    other = run.path / "other"
    other.write_bytes(line(7) + line(8) + line(9))
    os.replace(other, run.events)
    assert [event.seq for event in follower.poll()] == [7, 8, 9]
    assert follower.restarts == 2


def test_reading_in_bites_gives_the_same_events(run: Run) -> None:
    with RunWriter(run.path) as writer:
        for step in range(200):
            writer.emit("sample", step, text="x" * (step % 50) * 10)
    follower, events = Follower(run), []
    while new := follower.poll(limit_bytes=300):
        events += new
    assert events == history(run)


def test_reading_backwards_gives_the_events_in_reverse_across_pieces(run: Run) -> None:
    with RunWriter(run.path) as writer:
        for step in range(300):
            writer.emit("sample", step, text="é" * (CHUNK // 40 if step % 7 else CHUNK))
    assert list(backwards(run.events)) == history(run)[::-1]


def test_a_newer_attempt_undoes_the_steps_that_it_repeats() -> None:
    def metric(attempt: int, step: int, loss: float | None) -> Event:
        return Event(seq=step, attempt=attempt, time=step, kind="metric", step=step, data={"loss": loss, "text": "x"})

    events = [metric(1, step, 1.0) for step in (1, 2, 3, 4, 5)] + [metric(2, step, 2.0) for step in (3, 4)]
    assert list(curve(events, "loss")) == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]
    curves = Curves()
    curves.extend([metric(1, 1, 1.0), metric(1, 2, None), metric(1, 2, 3.0), metric(1, 4, None)])
    steps, values = curves["loss"].steps, curves["loss"].values
    assert list(steps) == [1, 2, 4]
    assert values[1] == 3.0
    assert math.isnan(values[2])
    assert "text" not in curves


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
    | st.sampled_from(["end", "status", "metric", "running", "finished"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["seq", "attempt", "time", "kind", "step", "data", "state", "text", "total", "done", "loss"]),
        inner, max_size=6,
    ),
    max_leaves=12,
)
LIKE_AN_EVENT = st.fixed_dictionaries(
    {
        "seq": st.integers() | ANY_JSON, "attempt": st.integers() | ANY_JSON, "time": st.floats() | ANY_JSON,
        "kind": st.sampled_from(["status", "metric", "progress", "end", "evaluation", "x"]),
        "data": st.dictionaries(
            st.sampled_from(["state", "status", "text", "hint", "done", "total", "loss", "metrics", "output", "unit"]),
            ANY_JSON,
        ),
    },
    optional={"step": st.integers() | ANY_JSON},
)
LINE = st.binary(max_size=60) | ANY_JSON.map(lambda v: json.dumps(v).encode()) | LIKE_AN_EVENT.map(
    lambda v: json.dumps(v).encode()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=st.lists(LINE, max_size=8), end=st.sampled_from([b"", b"\n"]))
def test_no_content_of_the_events_file_breaks_a_reader(run: Run, lines: list[bytes], end: bytes) -> None:
    run.events.write_bytes(b"\n".join(lines) + end)
    now = status(run)
    now.to_json()
    events = history(run)
    Curves().extend(events)
    assert list(backwards(run.events)) == events[::-1]


@given(st.binary())
def test_any_bytes_are_an_event_or_none(line: bytes) -> None:
    event = parse_line(line)
    assert event is None or isinstance(event, Event)
