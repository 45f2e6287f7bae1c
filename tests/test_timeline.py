"""The timeline of a traced step: what each column and each character of it stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ftui.planner.document import MemoryParts, TracePoint
from ftui.timeline import MARKS, parts_of, side_line, timeline

MIB = 1 << 20


def point(event: int, phase: str, weights: int, activations: int) -> TracePoint:
    parts = MemoryParts(weights=weights * MIB, activations=activations * MIB)
    return TracePoint(
        event=event, phase=phase, allocated_bytes=(weights + activations) * MIB,
        reserved_bytes=(weights + activations) * MIB, parts=parts,
    )


def test_parts_are_stacked_from_the_weights_up_and_the_peak_fills_the_height() -> None:
    points = [point(0, "forward", 3, 0), point(1, "forward", 3, 5), point(2, "last layer backward", 3, 2)]
    found = timeline(points, 3, 8)
    columns = list(zip(*(row for _, row in found.rows), strict=True))
    assert columns[1] == ("activations",) * 5 + ("weights",) * 3
    assert columns[0] == ("",) * 5 + ("weights",) * 3
    assert (found.peak_column, found.base_bytes, found.top_bytes) == (1, 0, 8 * MIB)
    assert found.sides == ((0, "forward"), (2, "backward"))
    assert found.parts == ("weights", "activations")
    assert [label for label, _ in found.rows if label] == ["8 MiB", "5 MiB"]


def test_where_most_of_it_stays_the_axis_begins_beneath_it() -> None:
    found = timeline([point(0, "forward", 100, 0), point(1, "forward", 100, 10)], 2, 5)
    assert found.base_bytes == 95 * MIB
    assert found.rows[0][1] == ("", "activations")
    assert found.rows[-1][1] == ("weights", "weights")


def test_a_step_without_moments_is_an_empty_picture() -> None:
    assert [row for _, row in timeline([], 10, 4).rows] == [()] * 4


def test_the_sides_stand_under_their_first_columns() -> None:
    assert side_line([(0, "forward"), (12, "backward")], 24) == "╵forward    ╵backward   "
    assert len(side_line([(0, "a long name of a side"), (4, "next")], 10)) == 10


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 100)), min_size=1, max_size=60),
    st.integers(1, 120), st.integers(1, 20),
)
def test_the_peak_is_seen_whatever_the_width(sizes: list[tuple[int, int]], width: int, height: int) -> None:
    points = [point(at, "forward", *size) for at, size in enumerate(sizes)]
    found = timeline(points, width, height)
    assert {len(row) for _, row in found.rows} == {width}
    assert len(found.rows) == height
    assert found.top_bytes == max(p.allocated_bytes for p in points)
    assert found.rows[0][1][found.peak_column]


def test_every_part_of_the_document_is_stacked() -> None:
    parts = MemoryParts(weights=1)
    assert set(parts_of(parts)) == set(MemoryParts.model_fields)
    assert next(iter(parts_of(parts))) == next(iter(MARKS)) == "weights"
