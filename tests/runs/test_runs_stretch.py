"""Metrics read by the hundred tell what they tell one by one."""

from __future__ import annotations

import json
import math
import random
from array import array
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import Follower, history
from ftui.runs.index_pages import PAGE, PageFile, Pages
from ftui.runs.stretch import Reader, Stretch


def line(seq: int, kind: str, step: int | None, attempt: int = 1, **data: Any) -> bytes:
    event = {"v": 1, "seq": seq, "attempt": attempt, "time": 1.5 * seq, "kind": kind, "step": step, "data": data}
    return json.dumps(event).encode() + b"\n"


def metrics(first: int, last: int, attempt: int = 1, **data: Any) -> bytes:
    return b"".join(line(step, "metric", step, attempt, loss=1 / step, **data) for step in range(first, last + 1))


def numbers(found: list[Event | Stretch]) -> list[tuple[int, dict[str, Any]]]:
    """Step and values of every metric, whichever way it came."""
    told: list[tuple[int, dict[str, Any]]] = []
    for item in found:
        if isinstance(item, Stretch):
            for place, step in enumerate(item.steps):
                row = {name: column[place] for name, column in item.columns.items()}
                told.append((step, {name: None if math.isnan(value) else value for name, value in row.items()}))
        elif item.kind == "metric":
            row = {name: value for name, value in item.measured.items() if type(value) in (float, int, type(None))}
            told.append((item.step or 0, row))
    return told


def test_lines_of_one_shape_come_as_columns_and_everything_else_as_it_is() -> None:
    data = line(1, "status", None, state="running") + metrics(1, 300, rate=2, values={"kl": 0.5}, note="x", flag=True)
    found = Reader().items(data + line(400, "evaluation", 300, eval_loss=1.0))
    assert isinstance(found[-1], Event)
    stretches = [item for item in found if isinstance(item, Stretch)]
    assert sum(len(item.steps) for item in stretches) >= 290
    assert set(stretches[0].columns) == {"loss", "rate", "kl"}
    assert [step for step, _ in numbers(found)] == list(range(1, 301))
    assert {row["kl"] for _, row in numbers(found) if "kl" in row} == {0.5}


def test_the_bars_progress_does_not_part_the_metrics_and_its_newest_is_told() -> None:
    rows = [metrics(step, step) + line(step, "progress", step, text="Training", done=step, total=400, unit="step")
            for step in range(1, 301)]
    found = Reader().items(b"".join(rows))
    assert len(found) < 30
    assert isinstance(found[-1], Event)
    assert found[-1].data["done"] == 300


def test_a_missing_value_is_a_gap_but_a_missing_loss_is_told_by_itself() -> None:
    data = metrics(1, 50, norm=None) + line(51, "metric", 51, loss=None, norm=1.0) + metrics(52, 100, norm=3.0)
    found = Reader().items(data)
    assert any(isinstance(item, Event) and item.step == 51 for item in found)
    assert dict(numbers(found))[20]["norm"] is None
    assert dict(numbers(found))[51] == {"loss": None, "norm": 1.0}
    assert {name for item in found if isinstance(item, Stretch) for name in item.gaps} == {"norm"}


@pytest.mark.parametrize("odd", [
    b"\n", b"garbage\n", b'{"v": 1, "seq": 5\n', line(60, "metric", 3), line(60, "metric", 60, 2, loss=0.5),
    line(60, "metric", 60, loss=True), line(60, "metric", 60, loss="low"), line(60, "metric", 60, loss=10**400),
    line(60, "metric", 60, loss=1.0).strip() + line(61, "metric", 61, loss=1.0) + b"\n",
    line(60, "metric", 60, loss=1.0).replace(b'"data": ', b'"data":\n') + line(61, "metric", 61, loss=1.0),
    b" " + line(60, "metric", 60, loss=1.0), line(60, "metric", 60, loss=1.0).replace(b"1.0", b"NaN"),
    line(60, "metric", None, loss=1.0), line(60, "metric", -1, loss=1.0), line(60, "metric", 1 << 63, loss=1.0),
    line(60, "metric", 60, loss=1.0, **{'odd"name\n': 2.0}), line(60, "metric", 60, loss=1.0, values=[1]),
    line(60, "metric", 60, loss=1.0, values={"loss": 3.0, "values": {"x": 1}}),
])
def test_an_odd_line_among_the_others_is_read_as_it_would_be_alone(run: Run, odd: bytes) -> None:
    run.events.write_bytes(metrics(1, 59) + odd + metrics(62, 130))
    whole, single = Follower(run), Follower(run)
    found = whole.take()
    events = single.poll()
    assert numbers(found) == numbers(list(events))
    assert whole.garbage == single.garbage
    assert any(isinstance(item, Stretch) and len(item.steps) > 10 for item in found)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40), st.integers(0, 4)), max_size=12), st.integers(1, 999))
def test_any_mixture_read_in_any_pieces_holds_the_same_numbers(
    run: Run, parts: list[tuple[int, int, int]], cut: int
) -> None:
    step, text = 1, b""
    for kind, count, shape in parts:
        if kind == 0:
            step = max(1, step - 7)
            text += line(step, "status", None, attempt=shape + 1)
        more: dict[str, Any] = [{}, {"a": 1}, {"a": None}, {"values": {"b": 2.5}}, {"a": True}][shape]
        text += metrics(step, step + count, attempt=1 if kind < 3 else 2, **more)
        step += count
    run.events.write_bytes(text)
    follower, found = Follower(run), []
    while True:
        found += follower.take(cut)
        if not follower.behind:
            break
    assert numbers(found) == numbers(list(history(run)))


def test_numbers_are_exact_whatever_their_text() -> None:
    rng = random.Random(1)
    values = [rng.choice((rng.random() * 10 ** rng.randint(-300, 300), rng.getrandbits(60))) for _ in range(500)]
    data = b"".join(line(n, "metric", n, loss=value) for n, value in enumerate(values, 1))
    assert [float(row["loss"]) for _, row in numbers(Reader().items(data))] == [float(value) for value in values]


@pytest.mark.parametrize("filed", [True, False])
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_pages_are_what_an_array_is(tmp_path_factory: pytest.TempPathFactory, filed: bool, data: st.DataObject) -> None:
    file = PageFile(tmp_path_factory.mktemp("pages") / "pages", new=True) if filed else None
    code = data.draw(st.sampled_from("qd"))
    made, slow = Pages(code, file), array(code)
    for _ in range(data.draw(st.integers(1, 5))):
        first, gap = data.draw(st.integers(0, 9)), data.draw(st.sampled_from([0, 1, 3]))
        start = (slow[-1] if slow else 0) + first
        count = data.draw(st.sampled_from([1, 100, PAGE, 3 * PAGE + 5]))
        more = array(code, [start + gap * place + place * place % 2 * (code == "d") for place in range(count)])
        made.extend(more)
        slow.extend(more)
        match data.draw(st.sampled_from(["", "drop", "one", "insert", "state"])):
            case "drop":
                place = data.draw(st.integers(0, len(slow)))
                made.drop(place)
                del slow[place:]
            case "one":
                made.drop(len(slow) // 2, len(slow) // 2 + 1)
                del slow[len(slow) // 2 : len(slow) // 2 + 1]
            case "insert":
                made.insert(len(slow) // 2, slow[len(slow) // 2])
                slow.insert(len(slow) // 2, slow[len(slow) // 2])
            case "state" if file is not None:
                made = Pages.restored(json_like(made.state()), file)
    assert len(made) == len(slow)
    assert array(code, made) == slow
    for place in data.draw(st.lists(st.integers(0, len(slow) - 1), max_size=5)) if slow else ():
        assert made[place] == slow[place]
        assert made[place : place + 5000] == slow[place : place + 5000]
        assert made[-501:] == slow[-501:]
        assert made[place::129] == slow[place::129]


def json_like(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "firsts": array(state["code"], state["firsts"]), "tail": array(state["code"], state["tail"])}


def test_pages_find_places_as_bisect_does(tmp_path: Any) -> None:
    from bisect import bisect_left, bisect_right

    rng = random.Random(3)
    steps = sorted(rng.sample(range(100_000), 20_000)) + list(range(100_000, 140_000, 2))
    made = Pages("q", PageFile(tmp_path / "pages", new=True))
    made.extend(array("q", steps))
    edges = [-1, 0, steps[0], steps[-1], 1e9, 99_999.5, steps[PAGE], steps[PAGE - 1]]
    for number in [*edges, *rng.sample(range(150_000), 300)]:
        assert made.bisect_left(number) == bisect_left(steps, number)
        assert made.bisect_right(number) == bisect_right(steps, number)
