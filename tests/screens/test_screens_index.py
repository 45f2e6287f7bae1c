"""The index of a long run: what it gives back is what reading the events anew would give, whatever befell either."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from screens_help import until_drawn as until

from ftui.runs import index, stretch
from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import Follower, history
from ftui.runs.index import Index
from ftui.screens import monitor_watch
from ftui.screens.app import FtuiApp
from ftui.screens.monitor_picture import Picture
from ftui.screens.monitor_series import Series
from ftui.screens.monitor_watch import Watch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import recorded


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs have an index, too."""
    for module in (index, monitor_watch):
        monkeypatch.setattr(module, "LEAST_BYTES", 1)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what was parsed of any events file, piece by piece."""
    found: list[int] = []
    plain = stretch.Reader.items

    def counted(self: stretch.Reader, data: bytes) -> Any:
        found.append(len(data))
        return plain(self, data)

    monkeypatch.setattr(stretch.Reader, "items", counted)
    return found


def seen(series: Series | None) -> object:
    """All that a chart could show of a series."""
    if series is None:
        return None
    earlier = series.superseded
    left = seen(earlier) if earlier is not None else None
    steps = [step for step in series.steps if step > series.since]
    return list(series.steps)[-len(steps) :] if steps else [], list(series.values)[-len(steps) :] if steps else [], [
        gap for gap in series.gaps if gap > series.since
    ], series.last_step, series.bounds(), list(series.columns(0, 500, 40)), sorted(series.gap_columns(0, 500, 40)), left


def told(picture: Picture) -> dict[str, object]:
    """All that a picture holds."""
    plain = {name: getattr(picture, name) for name in (
        "samples", "lines", "taken_lines", "attempt", "step", "total", "doing", "done", "newest", "best", "judged_by",
        "saved", "end", "diagnosis", "_bases", "_began", "_earlier",
    )}
    series = {name: seen(one) for name, one in picture.series.items()}
    return plain | {"series": series, "times": seen(picture._step_times)}


def slow(run: Run) -> Picture:
    """The picture by its definition, event by event."""
    picture = Picture()
    picture.take(history(run))
    return picture


def look(run: Run, *, save: bool = True) -> Watch:
    """Open a run as the monitor does, read it whole, and leave it."""
    watch = Watch(run.id)
    watch.open()
    return look_on(watch, save=save)


def look_on(watch: Watch, *, save: bool = True) -> Watch:
    """Read all that there is now."""
    while True:
        found = watch.look()
        watch.fold(found)
        if save and watch.worth_saving:
            watch.save(watch.picture.state())
        if not found.behind:
            return watch


def write(run: Run, *events: dict[str, Any]) -> None:
    with run.events.open("ab") as file:
        file.write(b"".join(json.dumps(event).encode() + b"\n" for event in events))


NUMBER = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-9, 9), st.just(10**400), st.booleans(), st.just("x"))
KIND = st.sampled_from(["metric"] * 8 + ["evaluation", "status", "progress", "sample", "checkpoint", "warning",
                                         "diagnosis", "recovery", "end"])
DATA = {
    "evaluation": {"eval_loss": 0.5, "best": True, "values": {"kl": 1}}, "status": {"state": "running", "text": "t"},
    "progress": {"done": 7, "total": 90, "unit": "step", "text": "Training"},
    "sample": {"prompt": "p", "text": "\ud800 é", "index": 1, "base": "b"}, "warning": {"text": "w", "hint": "h"},
    "checkpoint": {"path": "c", "bytes": 5}, "end": {"status": "finished", "text": "e", "metrics": {"array": [1]}},
    "diagnosis": {"name": "plateau", "text": "d", "change": {"train.epochs": 2}, "severity": "note"},
    "recovery": {"text": "r", "change": {}},
}


@st.composite
def histories(draw: st.DrawFn) -> list[bytes]:
    """Lines of several attempts, some of them torn or garbage."""
    lines: list[bytes] = []
    step, attempt = 0, 1
    for _ in range(draw(st.integers(1, 25))):
        if draw(st.integers(0, 7)) == 0:
            attempt, step = attempt + 1, max(0, step - draw(st.integers(0, 60)))
        kind = draw(KIND)
        names = draw(st.sampled_from([("loss",), ("loss", "rate"), ("rate",), ("array",)]))
        for _ in range(draw(st.integers(1, 40)) if kind == "metric" else 1):
            step += draw(st.sampled_from([1, 1, 1, 2, 0])) if kind == "metric" else 0
            data = {name: draw(NUMBER) if draw(st.integers(0, 9)) == 0 else step / 7 for name in names}
            event = {"v": 1, "seq": len(lines), "attempt": attempt, "time": 1e9 + len(lines), "kind": kind,
                     "step": step, "data": data if kind == "metric" else DATA[kind]}
            lines.append(json.dumps(event).encode() + b"\n")
        if draw(st.integers(0, 9)) == 0:
            lines.append(draw(st.sampled_from([b"\n", lines[-1][:-9] + b"\n", b"nothing\n", b"[1]\n", b"\xff\n"])))
    return lines


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
@given(lines=histories(), data=st.data())
def test_what_the_index_gives_back_is_what_reading_the_events_anew_gives(
    own_home: Path, lines: list[bytes], data: st.DataObject
) -> None:
    run = Run(recorded.Recording(own_home, id=f"run-{os.urandom(4).hex()}").folder)
    cuts = sorted(data.draw(st.lists(st.integers(0, sum(map(len, lines))), max_size=3)))
    whole = b"".join(lines)
    for cut in [*cuts, len(whole)]:
        # Each time another reader, who finds the index of the one before; the last line may be torn.
        run.events.write_bytes(whole[:cut])
        assert told(look(run).picture) == told(slow(run))
    shutil.rmtree(run.path)


def long_run(home: Path, steps: int = 9_000) -> Run:
    return Run(recorded.healthy(home, steps, steps + 1000, samples=False, nan=range(300, 320)).folder)


def test_a_second_opening_parses_only_what_is_new(own_home: Path, parsed: list[int]) -> None:
    run = long_run(own_home)
    first = told(look(run).picture)
    assert sum(parsed) == run.events.stat().st_size
    parsed.clear()
    watch = look(run)
    assert sum(parsed) == 0
    assert told(watch.picture) == first == told(slow(run))
    assert watch.picture.series["loss"].smallest_above_zero(0, 1e9) == min(watch.picture.series["loss"].values)
    event = json.loads(run.events.read_bytes().splitlines()[-1])
    write(run, {**event, "kind": "metric", "step": 9_001, "data": {"loss": 0.25}})
    parsed.clear()
    assert look(run).picture.last("loss") == 0.25
    assert sum(parsed) < 500


def test_most_numbers_of_a_long_run_lie_in_the_index_and_none_is_held_twice(own_home: Path) -> None:
    picture = look(long_run(own_home)).picture
    assert picture.file is not None
    assert len(picture.series["loss"].values._tail) < 2 * 4096
    columns = [column for one in [*picture.series.values(), picture._step_times] for column in (one.steps, one.values)]
    assert picture.file.end == sum(type(page) is int for column in columns for page in column._pages) * 4096 * 8


@pytest.mark.parametrize("what", [
    "cut", "replaced", "replaced by a longer one", "another format", "garbage", "no pages", "short pages", "gone",
    "empty events",
])
def test_an_index_that_does_not_fit_is_made_anew(own_home: Path, what: str, parsed: list[int]) -> None:
    run = long_run(own_home, 9000)
    look(run)
    cache, text = run.path / "cache", run.events.read_bytes()
    (pages,) = cache.glob("pages-*")
    match what:
        case "cut":
            os.truncate(run.events, len(text) // 2)
        case "replaced":
            run.events.write_bytes(text.replace(b"0.", b"1."))
        case "replaced by a longer one":
            run.events.write_bytes(text.replace(b'"loss": 0.', b'"loss": 10.'))
        case "another format":
            (cache / "index").write_bytes((cache / "index").read_bytes().replace(b'"format": "1', b'"format": "0'))
        case "garbage":
            (cache / "index").write_bytes(b"\xff" * 500)
        case "no pages":
            pages.unlink()
        case "short pages":
            os.truncate(pages, 100)
        case "gone":
            shutil.rmtree(cache)
        case "empty events":
            run.events.write_bytes(b"")
    parsed.clear()
    assert told(look(run).picture) == told(slow(run))
    assert sum(parsed) == run.events.read_bytes().rfind(b"\n") + 1
    parsed.clear()
    assert told(look(run).picture) == told(slow(run))
    assert sum(parsed) == 0
    assert len([*cache.glob("pages-*")]) == 1, "what no index names is removed"


def test_a_file_that_is_replaced_while_it_is_read_is_read_anew(own_home: Path) -> None:
    run = long_run(own_home, 3000)
    watch = look(run)
    text = run.events.read_bytes()
    (run.path / "other").write_bytes(text[: text.index(b"\n", len(text) // 3) + 1])
    os.replace(run.path / "other", run.events)
    found = watch.look()
    watch.fold(found)
    assert told(watch.picture) == told(slow(run))
    assert watch.picture.restarts == 1


def test_pages_that_are_cut_while_they_are_drawn_are_read_anew_into_memory(own_home: Path) -> None:
    run = long_run(own_home)
    watch = look(run)
    assert watch.picture.file is not None
    os.truncate(watch.picture.file.path, 4096)
    list(watch.picture.series["loss"].values)
    assert watch.picture.file.lost
    look_on(watch)
    assert watch.picture.file is None
    assert told(watch.picture) == told(slow(run))


async def test_the_monitor_outlives_the_loss_of_its_index(own_home: Path) -> None:
    run = long_run(own_home, 3000)
    async with FtuiApp(open_run=run.id).run_test(size=(120, 40)) as pilot:
        await until(pilot, "3,000 / 4,000 steps", "each step", "smoothed")
        while not (run.path / "cache" / "index").exists():
            await pilot.pause(0.05)
        for path in (run.path / "cache").glob("pages-*"):
            os.truncate(path, 0)
        for key in ("l", "plus", "s", "m", "x", "0", "m"):
            await pilot.press(key)
        await until(pilot, "3,000 / 4,000 steps", "each step", "smoothed")
        assert pilot.app.is_running


def test_two_apps_on_one_run_share_the_index_and_do_not_disturb_each_other(own_home: Path) -> None:
    run = long_run(own_home)
    one, other = Watch(run.id), Watch(run.id)
    one.open()
    other.open()
    for watch in (one, other) * 4:
        watch.fold(watch.look())
    for watch in (one, other):
        watch.save(watch.picture.state())
    third = look(run)
    assert told(one.picture) == told(other.picture) == told(third.picture) == told(slow(run))
    assert third.picture.file is not None
    assert not third.picture.file.writable, "the one that made it goes on with it"


@pytest.mark.parametrize("refused", ["folder", "page", "index"])
def test_without_a_disk_that_takes_it_the_run_is_read_all_the_same(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    run = long_run(own_home)
    match refused:
        case "folder":
            (run.path / "cache").write_text("in the way")
        case "page":
            monkeypatch.setattr(os, "pwrite", full)
        case "index":
            monkeypatch.setattr(index, "write_atomic", full)
    assert told(look(run).picture) == told(slow(run))
    assert told(look(run).picture) == told(slow(run))


async def test_the_monitor_opens_a_run_from_its_index(own_home: Path, parsed: list[int]) -> None:
    run = long_run(own_home, 3000)
    size = run.events.stat().st_size
    for _ in range(2):
        parsed.clear()
        async with FtuiApp(open_run=run.id).run_test(size=(120, 40)) as pilot:
            await until(pilot, "3,000 / 4,000 steps", "each step", "smoothed", "GPU temperature")
            await pilot.press("l")
            await until(pilot, "log")
            while not (run.path / "cache" / "index").exists():
                await pilot.pause(0.05)
    assert sum(parsed) < size / 10


def test_the_index_is_for_its_owner_alone(own_home: Path) -> None:
    run = long_run(own_home, 3000)
    look(run)
    assert {path.stat().st_mode & 0o77 for path in [run.path / "cache", *(run.path / "cache").iterdir()]} == {0}


def test_an_index_is_no_index_of_another_run(own_home: Path) -> None:
    run = long_run(own_home, 3000)
    look(run)
    other = Run(recorded.Recording(own_home, "other", id="2026-11-22-other").folder)
    shutil.copytree(run.path / "cache", other.path / "cache")
    write(other, {"seq": 1, "attempt": 1, "time": 1.0, "kind": "metric", "step": 1, "data": {"loss": 1.0}})
    assert Index(other).load() is None
    assert math.isclose(look(other).picture.last("loss") or 0, 1.0)


def test_a_follower_that_skips_goes_on_behind_it(own_home: Path) -> None:
    run = long_run(own_home, 100)
    first, second = Follower(run), Follower(run)
    events = first.poll()
    second.skip(run.events.read_bytes().index(b"\n") + 1)
    assert second.poll() == events[1:]
    assert isinstance(events[0], Event)
