"""The dry trace from the wizard: asked with a key, followed, taken along; and what is said where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from screens_help import cpu_box, small_profile, text, until

from ftui import models, tracing
from ftui.planner.document import MemoryEstimate, MemoryParts, Trace, TracePoint
from ftui.runs.folder import Run
from ftui.runs.status import RunStatus
from ftui.screens.app import FtuiApp
from ftui.screens.trace import TraceScreen
from ftui.screens.wizard.replan import replan
from ftui.screens.wizard.wizard import WizardScreen, from_preset

GIB = 1 << 30


def estimate(badge: str, allocated: int) -> MemoryEstimate:
    return MemoryEstimate.model_validate({
        "parts": {"weights": allocated}, "allocated_bytes": allocated, "reserved_bytes": allocated + GIB,
        "process_bytes": allocated + GIB, "low_bytes": allocated, "high_bytes": allocated + 2 * GIB,
        "phase": "loss forward", "badge": badge,
    })  # fmt: skip


def trace() -> Trace:
    points = tuple(
        TracePoint(event=at, phase=phase, allocated_bytes=size * GIB, reserved_bytes=size * GIB,
                   parts=MemoryParts(weights=GIB, activations=(size - 1) * GIB))
        for at, (phase, size) in enumerate([("forward", 1), ("loss forward", 4), ("layers backward", 2)])
    )  # fmt: skip
    return Trace(
        key="k", versions={"torch": "2.13.0"}, model="demo", layers=32, traced_layers=(5,), where="the loss (mm)",
        memory=estimate("traced", 4 * GIB), phases={"forward": GIB}, timeline=points, seconds=9.0, peak_rss_bytes=0,
    )


async def planned(pilot: Any) -> WizardScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen))
    screen: WizardScreen = pilot.app.screen
    await until(pilot, lambda: screen.state.layout)
    await screen.go("plan")
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_trace_is_asked_for_with_a_key_and_taken_along(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "cached", lambda *_, **__: trace())
    app = FtuiApp(demo=True)
    async with app.run_test(size=size) as pilot:
        await planned(pilot)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen) and "difference" in text(app))
        assert "the loss (mm)" in text(app)
        assert "5 of 32 layers" in text(app)
        assert "f Every layer" in text(app)
        assert "backward" in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen) and "traced" in text(app))


async def test_a_trace_that_cannot_start_says_why_and_leaves_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    from ftui.errors import Refused

    def refuse(*_: Any, **__: Any) -> None:
        raise Refused("A trace can't run Apple's loss kernels.", "Trace it with: --set train.loss=chunked")

    monkeypatch.setattr(tracing, "cached", lambda *_, **__: None)
    monkeypatch.setattr(tracing, "start", refuse)
    app = FtuiApp(demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await planned(pilot)
        await pilot.press("t")
        await until(pilot, lambda: "Apple's loss kernels" in text(app))
        assert "train.loss=chunked" in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert "estimate" in text(app)


def test_a_trace_that_was_left_running_is_not_started_twice(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr("ftui.runs.control.start", lambda run: started.append(run.id))
    monkeypatch.setattr(Run, "status", lambda self: RunStatus(state="crashed", text="its worker is gone"))
    state = replan(from_preset("cpu-demo").having(
        hardware=cpu_box(), shape=models.describe("demo"), profile=small_profile()
    ))
    assert state.resolved is not None
    assert state.shape is not None
    assert state.hardware is not None
    asked = (state.resolved, state.shape, state.hardware, state.profile)
    first = tracing.start(*asked)
    again = tracing.start(*asked)
    assert again.id != first.id, "the first one is no more"
    monkeypatch.setattr(Run, "status", lambda self: RunStatus(state="running", text="tracing"))
    assert tracing.start(*asked).id in (first.id, again.id)
    assert started == [first.id, again.id]
    assert tracing.start(*asked, full=True).id not in (first.id, again.id), "every layer is another question"
