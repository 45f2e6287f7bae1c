"""Whatever a driver does, a probe ends with a document."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.hardware import probe
from ftui.hardware.apart import Apart
from ftui.hardware.box import Box
from ftui.hardware.document import Hardware
from ftui.hardware.driver import DriverError, DriverHangs
from ftui.hardware.gauges import Gauges, gpu_stats

T4 = Box.from_json((Path(__file__).parent / "boxes" / "t4.json").read_bytes())
MIG = Box.from_json((Path(__file__).parent / "boxes" / "mig.json").read_bytes())

CODES = st.sampled_from([
    "NotSupported", "NoPermission", "GpuIsLost", "Unknown", "DriverNotLoaded", "Crashed", "NoData", "IrqIssue",
])
NONSENSE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["total", "used", "free", "pid", "used_bytes", "name"]), inner, max_size=3),
    max_leaves=5,
)


class Moody:
    """Answers like a recorded box, except for what `moods` says: an error, a hang, nonsense, an exception."""

    def __init__(self, answers: dict[str, Any], moods: dict[str, Any]) -> None:
        self.answers, self.moods = answers, moods

    def ask(self, question: str, *where: int) -> Any:
        mood = self.moods.get(question)
        if isinstance(mood, Exception):
            raise mood
        if mood is not None:
            return mood[0]
        key = " ".join([question, *map(str, where)])
        if key not in self.answers:
            raise DriverError("NotSupported")
        return self.answers[key]

    def close(self) -> None:
        pass


MOODS = st.one_of(
    CODES.map(DriverError), st.just(DriverHangs("it")), NONSENSE.map(lambda value: [value]),
    st.sampled_from([RuntimeError("boom"), OSError("gone"), ValueError("what")]),
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([T4, MIG]),
    st.dictionaries(st.sampled_from(sorted({key.split()[0] for box in (T4, MIG) for key in box.answers})), MOODS),
)
def test_a_probe_never_raises_whatever_the_driver_does(box: Box, moods: dict[str, Any]) -> None:
    hardware = probe(Moody(box.answers, moods), box.machine)
    assert Hardware.from_json(hardware.to_json()).cpu == box.machine.cpu


CHILD = """
import json, sys, time
print(json.dumps({"value": "ready"}), flush=True)
for line in sys.stdin:
    question, *where = json.loads(line)
    if question == "hang":
        time.sleep(60)
    if question == "die":
        sys.exit(3)
    if question == "babble":
        print("no json", flush=True)
        continue
    print(json.dumps({"error": "NotSupported"} if question == "refuse" else {"value": [question, *where]}), flush=True)
"""


def apart(code: str = CHILD, seconds: float = 1.0) -> Apart:
    return Apart([sys.executable, "-c", code], start_seconds=10, answer_seconds=seconds)


def test_a_child_answers_refuses_and_is_closed() -> None:
    driver = apart(seconds=5)
    assert driver.ask("name", 3) == ["name", 3]
    with pytest.raises(DriverError, match="NotSupported"):
        driver.ask("refuse")
    assert driver.ask("name", 1) == ["name", 1]
    driver.close()
    driver.close()


def test_a_call_that_hangs_costs_its_limit_and_the_rest_goes_on() -> None:
    driver = apart()
    driver.ask("name")
    begun = time.monotonic()
    with pytest.raises(DriverHangs):
        driver.ask("hang", 0)
    assert time.monotonic() - begun < 5
    assert driver.ask("name", 0) == ["name", 0], "another child answers on"
    with pytest.raises(DriverHangs):
        driver.ask("hang", 1)
    begun = time.monotonic()
    with pytest.raises(DriverHangs):
        driver.ask("name", 2)
    assert time.monotonic() - begun < 0.1, "after two hangs nothing more is asked"
    driver.close()


@pytest.mark.parametrize("question", ["die", "babble"])
def test_a_child_that_dies_or_babbles_is_an_error(question: str) -> None:
    driver = apart(seconds=5)
    with pytest.raises(DriverError, match="ended at"):
        driver.ask(question)
    assert driver.ask("name", 0) == ["name", 0]
    driver.close()


def test_a_child_that_cannot_start_is_an_error_once_and_for_all() -> None:
    driver = Apart(["/nonexistent/python"])
    for _ in range(2):
        with pytest.raises(DriverError, match="no process could be started"):
            driver.ask("count")
    with pytest.raises(DriverError):
        apart("import sys; sys.exit(1)").ask("count")


def test_a_probe_with_a_hanging_driver_ends_soon() -> None:
    begun = time.monotonic()
    stuck = Apart([sys.executable, "-c", "import time; time.sleep(60)"], start_seconds=0.5, answer_seconds=0.2)
    hardware = probe(stuck, T4.machine)
    assert time.monotonic() - begun < 5
    assert hardware.gpu is None
    assert "does not answer" in hardware.problems[0]


def test_this_machine_can_be_probed() -> None:
    hardware = probe()
    assert hardware.cpu.cores > 0
    assert hardware.ram.total_bytes >= hardware.ram.available_bytes > 0
    assert {disk.purpose for disk in hardware.disks} == {"runs", "hub cache"}
    assert hardware.torch.version


def test_gauges_give_what_the_visible_cards_do(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    stats = Gauges(Moody(T4.answers, {"power": DriverError("NotSupported")})).read()
    assert stats == [{
        "index": 0, "uuid": T4.answers["uuid 0"], "total_bytes": 15360 << 20, "used_bytes": 447 << 20,
        "free_bytes": (15360 - 447) << 20, "utilization": 0.0, "temperature_c": 41, "power_w": None,
    }]


def test_gauges_follow_the_choice_of_a_device_and_know_slices(monkeypatch) -> None:
    gauges = Gauges(Moody(MIG.answers, {}))
    assert [one["uuid"] for one in gauges.read()] == [MIG.answers[f"slice_uuid 0 {part}"] for part in range(3)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", MIG.answers["slice_uuid 0 2"])
    assert [one["total_bytes"] for one in gauges.read()] == [4864 << 20]


@pytest.mark.parametrize("mood", [DriverError("GpuIsLost"), RuntimeError("boom"), [None], [7]])
def test_gauges_never_raise(mood: Any) -> None:
    for question in ("count", "memory", "uuid"):
        assert isinstance(Gauges(Moody(T4.answers, {question: mood})).read(), list)


def test_gauges_never_wait_for_a_driver_that_hangs() -> None:
    class Stuck(Moody):
        def ask(self, question: str, *where: int) -> Any:
            time.sleep(30)

    begun = time.monotonic()
    assert Gauges(Stuck({}, {})).read() == []
    assert time.monotonic() - begun < 3


def test_gauges_of_this_machine_never_raise() -> None:
    assert isinstance(gpu_stats(), list)
