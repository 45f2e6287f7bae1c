"""The replay of CUDA's caching allocator: its rules one by one, and what must hold for every log."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.planner.caching import LARGE_SEGMENT, SMALL_SEGMENT, CachingAllocator, Replayed, replay

KIB, MIB = 1 << 10, 1 << 20
Log = list[tuple[int, int]]

SIZES = st.one_of(
    st.integers(1, 4 * KIB), st.integers(1, MIB), st.integers(MIB, 12 * MIB), st.integers(10 * MIB, 200 * MIB),
    st.sampled_from([512, MIB, MIB + 1, 10 * MIB, 10 * MIB - 1, 20 * MIB, 20 * MIB + 512]),
)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Allocations of all sizes, freed in any order, the last ones never."""
    events: Log = []
    live: list[int] = []
    for identity in range(draw(st.integers(1, 60))):
        events.append((identity, draw(SIZES)))
        live.append(identity)
        while live and draw(st.integers(0, 2)) == 0:
            events.append((live.pop(draw(st.integers(0, len(live) - 1))), 0))
    return events


def steps(allocator: CachingAllocator, events: Log) -> None:
    for identity, size in events:
        if size:
            assert allocator.allocate(identity, size)
        else:
            allocator.free(identity)


def still_live(events: Log) -> dict[int, int]:
    live: dict[int, int] = {}
    for identity, size in events:
        if size:
            live[identity] = size
        else:
            del live[identity]
    return live


def test_a_small_request_is_rounded_to_512_bytes_in_a_segment_of_2_mib() -> None:
    found = replay([(1, 1)])
    assert (found.peak_allocated, found.peak_reserved) == (512, SMALL_SEGMENT)


def test_one_mib_is_small_and_one_byte_more_is_large() -> None:
    assert replay([(1, MIB)]).peak_reserved == SMALL_SEGMENT
    assert replay([(1, MIB + 1)]).peak_reserved == LARGE_SEGMENT


def test_requests_from_10_mib_on_are_rounded_up_to_2_mib() -> None:
    assert replay([(1, 10 * MIB)]).peak_reserved == 10 * MIB
    assert replay([(1, 25 * MIB)]).peak_reserved == 26 * MIB


def test_a_rest_of_at_most_1_mib_is_given_away_with_a_large_block_and_counts_as_allocated() -> None:
    assert replay([(1, 25 * MIB)]).peak_allocated == 26 * MIB
    assert replay([(1, 25 * MIB)], expandable=True).peak_allocated == 25 * MIB


def test_the_smallest_block_that_holds_the_request_is_taken() -> None:
    """Freeing 30 and 40 MiB, then asking for 29 and 40: both are served from the cache, only if 29 takes the 30."""
    found = replay([(1, 40 * MIB), (2, 30 * MIB), (1, 0), (2, 0), (3, 29 * MIB), (4, 40 * MIB)])
    assert found.peak_reserved == 70 * MIB


def test_free_neighbours_grow_together() -> None:
    split = [(1, 60 * MIB), (1, 0), (2, 20 * MIB), (3, 20 * MIB), (4, 20 * MIB)]
    assert replay([*split, (3, 0), (2, 0), (5, 40 * MIB)]).peak_reserved == 60 * MIB
    assert replay([*split, (4, 0), (2, 0), (5, 40 * MIB)]).peak_reserved == 100 * MIB


def test_segments_that_hold_nothing_are_given_back_when_the_card_is_full() -> None:
    events = [(1, 40 * MIB), (2, 40 * MIB), (1, 0), (2, 0), (3, 80 * MIB)]
    assert replay(events).peak_reserved == 160 * MIB
    tight = replay(events, capacity=100 * MIB)
    assert (tight.out_of_memory_at, tight.peak_reserved) == (None, 80 * MIB)


def test_a_partly_used_segment_cannot_be_given_back() -> None:
    events = [(1, 60 * MIB), (1, 0), (2, 20 * MIB), (3, 60 * MIB)]
    assert replay(events, capacity=110 * MIB).out_of_memory_at == 3
    assert replay(events, capacity=120 * MIB).out_of_memory_at is None


def test_an_expandable_segment_gives_back_the_pages_around_what_is_used() -> None:
    events = [(1, 60 * MIB), (2, 20 * MIB), (1, 0), (3, 100 * MIB)]
    assert replay(events, expandable=True).peak_reserved == 180 * MIB
    tight = replay(events, expandable=True, capacity=120 * MIB)
    assert (tight.out_of_memory_at, tight.peak_reserved) == (None, 120 * MIB)
    assert replay(events, expandable=True, capacity=119 * MIB).out_of_memory_at == 3


def test_an_expandable_segment_grows_where_separate_ones_leave_holes() -> None:
    """Batches that grow by a tenth each step: the native allocator can't use the old, slightly smaller segments."""
    events: Log = []
    for step in range(8):
        size = int(20 * MIB * 1.1**step)
        events += [(10 * step + i, size) for i in range(8)]
        events += [(10 * step + i, 0) for i in range(8)]
    native, expandable = replay(events), replay(events, expandable=True)
    assert expandable.peak_reserved - expandable.peak_allocated < LARGE_SEGMENT
    assert native.peak_reserved > 2 * expandable.peak_reserved


def test_holes_left_by_given_back_pages_are_filled_first() -> None:
    allocator = CachingAllocator(expandable=True)
    steps(allocator, [(1, 60 * MIB), (2, 20 * MIB), (1, 0)])
    allocator.release_cached()
    assert allocator.reserved == 20 * MIB
    steps(allocator, [(3, 40 * MIB)])
    assert allocator.live[3][0].address < allocator.live[2][0].address
    assert allocator.reserved == 60 * MIB


@pytest.mark.parametrize("events", [[(1, 512), (1, 512)], [(1, 0)], [(1, 512), (1, 0), (1, 0)]])
def test_a_log_that_makes_no_sense_is_refused(events: Log) -> None:
    with pytest.raises(ValueError, match="allocation 1"):
        replay(events)


def test_the_series_is_short_and_holds_the_peak() -> None:
    chance = random.Random(1)
    events, live = [], []
    for identity in range(5000):
        events.append((identity, chance.randrange(1, 50 * MIB)))
        live.append(identity)
        if len(live) > 40:
            events.append((live.pop(chance.randrange(len(live))), 0))
    found = replay(events, points=100)
    assert len(found.series) <= 100
    assert max(sample.reserved for sample in found.series) == found.peak_reserved
    assert [sample.event for sample in found.series] == sorted(sample.event for sample in found.series)


def test_an_empty_log_needs_nothing() -> None:
    assert replay([]) == Replayed(0, 0, ())


@given(logs(), st.booleans())
def test_no_two_live_blocks_overlap_and_each_holds_what_was_asked(events: Log, expandable: bool) -> None:
    allocator = CachingAllocator(expandable=expandable)
    steps(allocator, events)
    asked = still_live(events)
    blocks = sorted((block.address, block.size, identity) for identity, (block, _) in allocator.live.items())
    assert {identity for *_, identity in blocks} == set(asked)
    assert all(size >= asked[identity] for _, size, identity in blocks)
    assert all(a + size <= b for (a, size, _), (b, _, _) in pairwise(blocks))
    assert allocator.allocated == sum(size for _, size, _ in blocks)


@given(logs(), st.booleans())
def test_the_reserved_bytes_are_the_live_ones_and_the_free_ones(events: Log, expandable: bool) -> None:
    allocator = CachingAllocator(expandable=expandable)
    steps(allocator, events)
    free = sum(size for pool in (allocator.small, allocator.large) for size, _ in pool.order)
    assert allocator.reserved == allocator.allocated + free
    for pool in (allocator.small, allocator.large):
        assert sorted(pool.order) == pool.order == sorted((b.size, b.address) for b in pool.blocks.values())


@given(logs(), st.booleans())
def test_freeing_everything_leaves_nothing_but_whole_segments(events: Log, expandable: bool) -> None:
    allocator = CachingAllocator(expandable=expandable)
    steps(allocator, events)
    for identity in list(allocator.live):
        allocator.free(identity)
    assert allocator.allocated == 0
    for pool in (allocator.small, allocator.large):
        assert all(b.previous is None or not b.previous.mapped for b in pool.blocks.values())
        assert all(b.following is None or not b.following.mapped for b in pool.blocks.values())
    allocator.release_cached()
    assert allocator.reserved == 0


@given(logs(), st.booleans(), st.integers(1, 400))
def test_the_capacity_is_never_exceeded(events: Log, expandable: bool, mib: int) -> None:
    found = replay(events, expandable=expandable, capacity=mib * MIB)
    assert found.peak_reserved <= mib * MIB
    free = replay(events, expandable=expandable)
    if found.out_of_memory_at is None:
        assert found.peak_allocated <= found.peak_reserved
    assert found.out_of_memory_at is not None or free.peak_reserved >= found.peak_reserved


@given(logs())
def test_expandable_segments_need_less_than_a_page_of_each_pool_beside_what_is_live(events: Log) -> None:
    """As long as nothing is freed: then there are no holes."""
    allocations = [event for event in events if event[1]]
    found = replay(allocations, expandable=True)
    assert found.peak_reserved < found.peak_allocated + SMALL_SEGMENT + LARGE_SEGMENT


@given(logs())
def test_the_native_allocator_answers_as_a_plain_search_does(events: Log) -> None:
    """The same rules written the slow way: scan all free blocks, merge all neighbours."""
    free: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}
    used: dict[int, tuple[bool, int, int, int]] = {}
    reserved = allocated = segments = 0
    for identity, asked in events:
        if asked == 0:
            small, size, segment, offset = used.pop(identity)
            allocated -= size
            for other in [o for o in free[small] if o[1] == segment]:
                if other[2] + other[0] == offset or offset + size == other[2]:
                    free[small].remove(other)
                    size, offset = size + other[0], min(offset, other[2])
            free[small].append((size, segment, offset))
            continue
        size = -(-asked // 512) * 512
        small = size <= MIB
        fitting = sorted(block for block in free[small] if block[0] >= size)
        if fitting:
            whole, segment, offset = fitting[0]
            free[small].remove(fitting[0])
        else:
            segments += 1
            whole = 2 * MIB if small else 20 * MIB if size < 10 * MIB else -(-size // (2 * MIB)) * 2 * MIB
            segment, offset = segments, 0
            reserved += whole
        if whole - size >= (512 if small else MIB + 1):
            free[small].append((whole - size, segment, offset + size))
            whole = size
        used[identity] = (small, whole, segment, offset)
        allocated += whole
    allocator = CachingAllocator()
    steps(allocator, events)
    assert (allocator.allocated, allocator.reserved) == (allocated, reserved)
