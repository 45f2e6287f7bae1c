"""How a trace looks on a terminal."""

from __future__ import annotations

import pytest

from ftui.cli.plan_trace import show_trace
from ftui.planner.document import MemoryEstimate, MemoryParts, Trace, TracePoint, Verdict
from ftui.units import GiB

STEP = ["forward"] * 40 + ["loss forward"] * 4 + ["loss backward"] * 4 + ["layers backward"] * 50 + ["optimizer step"]


def point(index: int, phase: str, activations: int) -> TracePoint:
    parts = MemoryParts(weights=10 * GiB, adapter=GiB // 8, activations=activations, slack=GiB // 4)
    total = parts.weights + parts.adapter + activations
    return TracePoint(event=index, phase=phase, where="model.layers.3", allocated_bytes=total,
                      reserved_bytes=total + parts.slack, parts=parts)  # fmt: skip


POINTS = tuple(point(index, phase, min(index, 100 - index) * GiB // 20) for index, phase in enumerate(STEP))


def memory(badge: str, allocated: int) -> MemoryEstimate:
    return MemoryEstimate.model_validate({
        "parts": {"weights": allocated}, "allocated_bytes": allocated, "reserved_bytes": allocated + GiB,
        "process_bytes": allocated + 2 * GiB, "low_bytes": allocated, "high_bytes": allocated + 3 * GiB,
        "phase": "layers backward", "badge": badge,
    })  # fmt: skip


TRACE = Trace(
    key="k", versions={"torch": "2.13.0", "trl": "1.16.0"}, model="m", layers=32, traced_layers=(5,),
    memory=memory("traced", 20 * GiB), where="model.layers.31.mlp (mm)", phases={"forward": 1}, timeline=POINTS,
    seconds=9.8, peak_rss_bytes=500 << 20, notes=("A note with \x1b[31mcolour\x1b[0m.",),
)


def test_the_timeline_begins_beneath_what_stays_and_names_the_steps_sides(capsys: pytest.CaptureFixture[str]) -> None:
    show_trace(TRACE, memory("estimate", 19 * GiB), Verdict(fit="fits", spare_bytes=GiB, text="Fits."))
    base = next(line for line in capsys.readouterr().out.splitlines() if "╵" in line)
    assert all(name in base for name in ("forward", "los", "backward"))
    assert 9.0 < float(base.split()[0]) < 10.2


def test_a_trace_without_moments_is_shown_without_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    bare = TRACE.model_copy(update={"timeline": ()})
    show_trace(bare, memory("estimate", 19 * GiB), Verdict(fit="fits", spare_bytes=GiB, text="Fits."))
    assert "╵" not in capsys.readouterr().out


def test_the_trace_stands_beside_the_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict(fit="fits", spare_bytes=GiB, text="Fits: 22 GiB expected.")
    show_trace(TRACE, memory("estimate", 19 * GiB), verdict)
    said = capsys.readouterr().out
    assert "5 of 32 layers" in said
    assert "-5.0 %" in said
    assert "model.layers.31.mlp (mm)" in said
    assert "Fits: 22 GiB expected." in said
    assert "\x1b" not in said
    assert all(len(line) <= 80 for line in said.splitlines())
