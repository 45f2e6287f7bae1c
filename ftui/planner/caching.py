"""CUDA's caching allocator, replayed: from the allocations and frees of a training step to what the card must give.

`torch.cuda.max_memory_reserved` is what decides about out of memory, and it is more than the tensors: sizes are
rounded, segments are cached, and a free block that is too small for the next request stays unused.  The rules are those
of torch's c10/cuda/CUDACachingAllocator.cpp with the constants of c10/core/AllocatorConfig.h (torch 2.13), its default
settings and one stream:

* sizes are rounded up to 512 bytes; up to 1 MiB they live in the small pool, above in the large one;
* a request takes the smallest cached block that holds it, the lowest address among equals; what is left over is split
  off if it is at least 512 bytes (small pool, expandable segments) or more than 1 MiB (large pool), otherwise it is
  given away with the block, and counts as allocated;
* where no block is large enough a segment is fetched from the driver: 2 MiB for the small pool, 20 MiB for requests
  below 10 MiB, above that the request rounded up to 2 MiB;
* freed blocks grow together with their free neighbours in the segment;
* when the driver has no more, all wholly free segments are given back and the driver is asked once more.

Expandable segments (`expandable_segments:True`): each pool has one segment that grows at its end by pages of 2 MiB
(small pool) or 20 MiB (large pool), so that neighbouring free space is never too narrow for good; when memory is short
the whole free pages are given back, wherever they are, and the lowest holes are filled first.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

MINIMUM = 512
"""Sizes are rounded up to this many bytes."""
SMALL = 1 << 20
"""The largest size of the small pool."""
SMALL_SEGMENT = 2 << 20
LARGE_SEGMENT = 20 << 20
MINIMUM_LARGE = 10 << 20
"""Requests below this share segments of 20 MiB."""
ROUND_LARGE = 2 << 20
ADDRESS_SPACE = LARGE_SEGMENT << 25
"""Room for an expandable segment to grow; in truth 9/8 of the card, which is never used up either."""


class Sample(NamedTuple):
    """What was held after `event` events: the fullest moment of a stretch of the log."""

    event: int
    allocated: int
    reserved: int


@dataclass(frozen=True)
class Replayed:
    """What a log of allocations made of the allocator; all in bytes.

    `peak_allocated` and `peak_reserved` are what torch.cuda.max_memory_allocated and max_memory_reserved would say.
    """

    peak_allocated: int
    peak_reserved: int
    series: tuple[Sample, ...]
    """The log cut into equal stretches, the moment of most reserved, then most allocated memory of each."""
    out_of_memory_at: int | None = None
    """The event that could not be served within the capacity; the replay ends there."""


class Block:
    """A stretch of a segment, linked to its neighbours in it."""

    __slots__ = ("address", "following", "free", "mapped", "previous", "size")

    def __init__(self, address: int, size: int, *, mapped: bool = True) -> None:
        self.address = address
        self.size = size
        self.free = True
        self.mapped = mapped
        """Whether memory stands behind these addresses; false only at expandable segments."""
        self.previous: Block | None = None
        self.following: Block | None = None


class Pool:
    """The free blocks of one pool, ordered by size and then by address."""

    def __init__(self, *, small: bool, expandable: bool) -> None:
        self.expandable = expandable
        self.smallest_rest = MINIMUM if small or expandable else SMALL + 1
        """The smallest remainder that is split off a block."""
        self.page = SMALL_SEGMENT if small else LARGE_SEGMENT
        self.order: list[tuple[int, int]] = []
        self.blocks: dict[int, Block] = {}
        self.unmapped: list[int] = []
        """Addresses of stretches without memory behind them, in order."""
        self.holes: dict[int, Block] = {}

    def put(self, block: Block) -> None:
        block.free = True
        self.blocks[block.address] = block
        insort(self.order, (block.size, block.address))

    def take(self, block: Block) -> None:
        del self.order[bisect_left(self.order, (block.size, block.address))]
        del self.blocks[block.address]

    def put_hole(self, block: Block) -> None:
        self.holes[block.address] = block
        insort(self.unmapped, block.address)

    def take_hole(self, block: Block) -> None:
        del self.unmapped[bisect_left(self.unmapped, block.address)]
        del self.holes[block.address]

    def best(self, size: int) -> Block | None:
        """The smallest free block of at least `size`, taken out of the pool."""
        order = self.order
        at = bisect_left(order, (size, 0))
        if at == len(order):
            return None
        found = self.blocks[order[at][1]]
        if self.expandable:
            # A block that can grow counts with what it can grow to, so that the segment's end is taken last.
            while at + 1 < len(order) and _growable(following := self.blocks[order[at + 1][1]]) < _growable(found):
                found, at = following, at + 1
        del order[at]
        del self.blocks[found.address]
        return found

    def merge(self, block: Block) -> None:
        """Let `block`, which is in no list, grow by its free neighbours of the same kind."""
        for other in (block.previous, block.following):
            if other is None or not other.free or other.mapped != block.mapped:
                continue
            if other.mapped:
                self.take(other)
            else:
                self.take_hole(other)
            if other is block.previous:
                block.address = other.address
                block.previous = other.previous
                if block.previous is not None:
                    block.previous.following = block
            else:
                block.following = other.following
                if block.following is not None:
                    block.following.previous = block
            block.size += other.size


class CachingAllocator:
    """The allocator of one device.  `capacity` is what the driver can give, in bytes; None has no limit."""

    def __init__(self, *, expandable: bool = False, capacity: int | None = None) -> None:
        self.expandable = expandable
        self.capacity = capacity
        self.allocated = 0
        self.reserved = 0
        self.small = Pool(small=True, expandable=expandable)
        self.large = Pool(small=False, expandable=expandable)
        self.live: dict[int, tuple[Block, Pool]] = {}
        self._next_address = 0

    def allocate(self, identity: int, size: int) -> bool:
        """Serve a request of `size` bytes under a new `identity`; False where memory is out."""
        if identity in self.live:
            raise ValueError(f"allocation {identity} is already there")
        size = max(MINIMUM, (size + MINIMUM - 1) // MINIMUM * MINIMUM)
        pool = self.small if size <= SMALL else self.large
        block = pool.best(size) or self._fetch(pool, size)
        if block is None:
            self.release_cached()
            block = self._fetch(pool, size)
            if block is None:
                return False
        if block.size - size >= pool.smallest_rest:
            pool.put(_cut(block, size))
        block.free = False
        self.live[identity] = (block, pool)
        self.allocated += block.size
        return True

    def free(self, identity: int) -> None:
        """Give the block of `identity` back to its pool."""
        found = self.live.pop(identity, None)
        if found is None:
            raise ValueError(f"there is no allocation {identity} to free")
        block, pool = found
        self.allocated -= block.size
        pool.merge(block)
        pool.put(block)

    def release_cached(self) -> None:
        """Give back to the driver what holds nothing: whole segments, or whole pages of an expandable one."""
        for pool in (self.large, self.small):
            for block in list(pool.blocks.values()):
                if self.expandable:
                    self._unmap(pool, block)
                elif block.previous is None and block.following is None:
                    pool.take(block)
                    self.reserved -= block.size

    def _fetch(self, pool: Pool, size: int) -> Block | None:
        """A block of at least `size` with memory from the driver, in no list; None where the driver has no more."""
        if self.expandable:
            return self._grow(pool, size)
        if pool is self.small:
            segment = SMALL_SEGMENT
        else:
            segment = LARGE_SEGMENT if size < MINIMUM_LARGE else _up(size, ROUND_LARGE)
        if not self._granted(segment):
            return None
        block = Block(self._next_address, segment)
        self._next_address += segment
        return block

    def _granted(self, size: int) -> bool:
        if self.capacity is not None and self.reserved + size > self.capacity:
            return False
        self.reserved += size
        return True

    def _grow(self, pool: Pool, size: int) -> Block | None:
        """Map pages at the lowest place of the expandable segment where free and unmapped space together suffice."""
        block = self._room(pool, size)
        if not block.mapped and not self._map(pool, block, min(block.size, size)):
            return None
        while block.size < size:
            following = block.following
            assert following is not None
            if not self._map(pool, following, min(size - block.size, following.size)):
                return None
            block = following
        pool.take(block)
        return block

    def _room(self, pool: Pool, size: int) -> Block:
        for address in pool.unmapped:
            block = pool.holes[address]
            if block.previous is not None and block.previous.free:
                block = block.previous
            room = 0
            part: Block | None = block
            while room < size and part is not None and part.free:
                room += part.size
                part = part.following
            if room >= size:
                return block
        segment = Block(self._next_address, ADDRESS_SPACE, mapped=False)
        self._next_address += segment.size
        pool.put_hole(segment)
        return segment

    def _map(self, pool: Pool, hole: Block, size: int) -> bool:
        """Put memory behind the first `size` bytes of `hole`, in whole pages, and join it with its free neighbours."""
        mapped = _up(size, pool.page)
        if not self._granted(mapped):
            return False
        pool.take_hole(hole)
        hole.mapped = True
        if mapped < hole.size:
            rest = _cut(hole, mapped)
            rest.mapped = False
            pool.put_hole(rest)
        pool.merge(hole)
        pool.put(hole)
        return True

    def _unmap(self, pool: Pool, block: Block) -> None:
        """Give back the whole pages inside a free block."""
        begin, end = _up(block.address, pool.page), (block.address + block.size) // pool.page * pool.page
        if begin >= end:
            return
        pool.take(block)
        if begin > block.address:
            before, block = block, _cut(block, begin - block.address)
            pool.put(before)
        if end < block.address + block.size:
            pool.put(_cut(block, end - block.address))
        self.reserved -= block.size
        block.mapped = False
        pool.merge(block)
        pool.put_hole(block)


def replay(
    events: Iterable[tuple[int, int]], *, expandable: bool = False, capacity: int | None = None, points: int = 256
) -> Replayed:
    """Run a log through the allocator: (id, bytes) is an allocation, (id, 0) or (id, -bytes) the free of that id.

    `capacity` is what the driver can give in bytes, `points` the most samples of the result's series.  A second
    allocation under a live id, or a free of an unknown one, is a ValueError.
    """
    log = events if isinstance(events, list | tuple) else list(events)
    allocator = CachingAllocator(expandable=expandable, capacity=capacity)
    allocate, free = allocator.allocate, allocator.free
    stretch = max(1, -(-len(log) // points))
    series: list[Sample] = []
    peak_allocated = peak_reserved = 0
    fullest = Sample(0, 0, 0)
    for at, (identity, size) in enumerate(log, start=1):
        if size <= 0:
            free(identity)
        elif not allocate(identity, size):
            if fullest.event:
                series.append(fullest)
            return Replayed(peak_allocated, peak_reserved, tuple(series), out_of_memory_at=at - 1)
        allocated, reserved = allocator.allocated, allocator.reserved
        peak_allocated, peak_reserved = max(peak_allocated, allocated), max(peak_reserved, reserved)
        if not fullest.event or (reserved, allocated) > (fullest.reserved, fullest.allocated):
            fullest = Sample(at, allocated, reserved)
        if at % stretch == 0:
            series.append(fullest)
            fullest = Sample(0, 0, 0)
    if fullest.event:
        series.append(fullest)
    return Replayed(peak_allocated, peak_reserved, tuple(series))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _growable(block: Block) -> int:
    following = block.following
    return block.size + (following.size if following is not None and not following.mapped else 0)


def _cut(block: Block, size: int) -> Block:
    """Shorten `block` to `size` and return what is left of it, linked behind it; it is in no list."""
    rest = Block(block.address + size, block.size - size)
    rest.previous, rest.following = block, block.following
    if rest.following is not None:
        rest.following.previous = rest
    block.following = rest
    block.size = size
    return rest
