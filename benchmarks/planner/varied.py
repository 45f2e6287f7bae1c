"""What torch's native allocator loses when micro-batches differ in width:  python benchmarks/planner/varied.py

A step is traced at two lengths (fake tensors, no GPU).  Every allocation is a straight line in the length, so the log
of any length follows; steps of random lengths are replayed one after the other through the caching allocator.  Prints
how many times the bytes that come and go are reserved, over the seeds: the source of `ftui.planner.allocator.VARIED`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from matrix import ARCHITECTURES, BASE

from ftui.planner.caching import CachingAllocator
from ftui.recipe import assign
from ftui.recipe.document import Recipe

SHORT, LONG = 512, 1024
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "qwen3-8b full logits": ("qwen3-8b", 1, {"train.loss": "full"}),
    "llama2-7b full logits": ("llama2-7b", 1, {"train.loss": "full"}),
    "llama2-7b full logits keep": ("llama2-7b", 1, {"train.loss": "full", "train.checkpointing": False}),
    "llama3-8b full logits": ("llama3-8b", 1, {"train.loss": "full"}),
    "llama3-8b full logits b4": ("llama3-8b", 4, {"train.loss": "full"}),
    "llama3-8b nf4 full logits": ("llama3-8b", 1, {"train.loss": "full", "model.quantization": "nf4"}),
}
DISTRIBUTIONS: tuple[Callable[[random.Random], float], ...] = (
    lambda chance: chance.lognormvariate(0.0, 0.7), lambda chance: chance.random() * 4,
)
"""Lengths relative to their median; what is longer than the longest is left out, as a data set's filter does."""

Events = list[tuple[int, float, float] | int]
"""(id, fixed, slope) is an allocation of fixed + slope × length bytes, the id alone its free."""


def events_of(case: str) -> Events:
    """What comes and goes in one step: weights, adapter and optimizer states are left out."""
    from ftui.worker.trace import trace_step

    name, rows, settings = CASES[case]
    given = {"train.micro_batch": rows, "train.effective_batch": rows, "data.max_length": LONG}
    recipe = assign(Recipe(), {**BASE, **given, **settings})
    logs = [trace_step(recipe, dict(ARCHITECTURES[name]), rows=rows, length=length).log for length in (SHORT, LONG)]
    parts = [log.parts for log in logs]
    both = [[e for e in log.events if kinds[e.id] not in ("host", "weights", "adapter", "optimizer")
             and e.phase not in ("load", "setup")] for log, kinds in zip(logs, parts, strict=True)]
    if len(both[0]) != len(both[1]):
        raise SystemExit(f"{case}: the steps of both lengths have different events")
    found: Events = []
    names: dict[int, int] = {}
    for short, long in zip(*both, strict=True):
        if short.size < 0:
            if short.id in names:
                found.append(names.pop(short.id))
            continue
        slope = (long.size - short.size) / (LONG - SHORT)
        names[short.id] = len(found)
        found.append((len(found), short.size - slope * SHORT, slope))
    return found + list(names.values())


def reserved(events: Events, lengths: list[int]) -> tuple[float, float]:
    """The peaks of allocated and reserved bytes over steps of these lengths."""
    allocator = CachingAllocator()
    allocated = held = 0
    for length in lengths:
        for event in events:
            if isinstance(event, int):
                allocator.free(event)
            else:
                allocator.allocate(event[0], max(1, int(event[1] + event[2] * length)))
                allocated, held = max(allocated, allocator.allocated), max(held, allocator.reserved)
    return allocated, held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--longest", type=int, nargs="*", default=[2048])
    parser.add_argument("--case", choices=CASES)
    options = parser.parse_args()
    every = []
    for case in [options.case] if options.case else CASES:
        events = events_of(case)
        for longest in options.longest:
            found = []
            for draw in DISTRIBUTIONS:
                for seed in range(options.seeds):
                    chance, lengths = random.Random(seed), []
                    while len(lengths) < options.steps:
                        length = int(draw(chance) * longest / 2)
                        if 16 <= length <= longest:
                            lengths.append(-(-length // 8) * 8)
                    allocated, held = reserved(events, lengths)
                    found.append(held / allocated)
            alone = reserved(events, [longest])
            every += found
            print(f"{case:28s} to {longest:5d}: alone ×{alone[1] / alone[0]:.2f}, varied ×{min(found):.1f} "
                  f"×{statistics.median(found):.1f} ×{max(found):.1f}", flush=True)
    quartiles = statistics.quantiles(every, n=4)
    print(f"all {len(every)}: quartiles " + " ".join(f"×{q:.2f}" for q in quartiles))


if __name__ == "__main__":
    main()
