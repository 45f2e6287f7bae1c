"""The timeline of a traced step: what each column and each character of it stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ftui.planner.document import MemoryEstimate, MemoryParts, Trace, TracePoint
from ftui.timeline import MARKS, parts_of, phase_line, timeline

MIB = 1 << 20


def trace(points: list[TracePoint]) -> Trace:
    memory = MemoryEstimate(
        parts=MemoryParts(), allocated_bytes=0, reserved_bytes=0, process_bytes=0, low_bytes=0, high_bytes=0,
        phase="forward", badge="traced",
    )
    return Trace(
        key="k", versions={}, model="tiny", layers=2, traced_layers=(2,), memory=memory, where="", phases={},
        timeline=tuple(points), seconds=1.0, peak_rss_bytes=0,
    )


def point(event: int, phase: str, weights: int, activations: int) -> TracePoint:
    parts = MemoryParts(weights=weights * MIB, activations=activations * MIB)
    return TracePoint(
        event=event, phase=phase, allocated_bytes=(weights + activations) * MIB,
        reserved_bytes=(weights + activations) * MIB, parts=parts,
    )


def test_parts_are_stacked_from_the_weights_up_and_the_peak_fills_the_height() -> None:
    found = timeline(trace([point(0, "forward", 4, 0), point(1, "forward", 4, 4), point(2, "backward", 4, 2)]), 3, 8)
    columns = list(zip(*found.rows, strict=True))
    assert columns[1] == ("activations",) * 4 + ("weights",) * 4
    assert columns[0] == ("",) * 4 + ("weights",) * 4
    assert (found.peak_column, found.top_bytes) == (1, 8 * MIB)
    assert found.phases == ((0, "forward"), (2, "backward"))


def test_a_step_without_moments_is_an_empty_picture() -> None:
    assert timeline(trace([]), 10, 4).rows == ((),) * 4


def test_the_phases_stand_under_their_first_columns() -> None:
    assert phase_line([(0, "forward"), (12, "backward")], 24) == "╵forward    ╵backward   "
    assert len(phase_line([(0, "a long name of a phase"), (4, "next")], 10)) == 10


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 100)), min_size=1, max_size=60),
    st.integers(1, 120), st.integers(1, 20),
)
def test_the_peak_is_seen_whatever_the_width(sizes: list[tuple[int, int]], width: int, height: int) -> None:
    points = [point(at, "forward", *size) for at, size in enumerate(sizes)]
    found = timeline(trace(points), width, height)
    assert {len(row) for row in found.rows} == {width}
    assert len(found.rows) == height
    assert found.top_bytes == max(p.allocated_bytes for p in points)
    assert found.rows[0][found.peak_column] != "" or height == 1


def test_every_part_of_the_document_is_stacked() -> None:
    parts = MemoryParts(weights=1)
    assert set(parts_of(parts)) == set(MemoryParts.model_fields)
    assert next(iter(parts_of(parts))) == next(iter(MARKS)) == "weights"
