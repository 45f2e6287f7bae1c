"""Measure real training steps on this machine's card beside what the planner expects:

    python benchmarks/planner/measure_gpu.py [--list] [--only WORD ...] [--resume] [--steps N] [--timeout SECONDS]

Runs the configurations of gpu_matrix.py one after the other, each in a process of its own: models of 0.5 to 14 billion
parameters with random weights, built from their published configs (nothing is downloaded).  What the card can't hold by
the planner's lowest estimate is skipped, and said to be.  Allocated, reserved and process peaks, the CUDA context, and
tokens per second go to benchmarks/results/gpu_DEVICE.json after every run, the table to gpu_DEVICE.txt at the end.

--dry runs a tiny model on the CPU instead, to try the script where there is no card.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gpu_matrix import cases
from matrix import Case

from ftui.hardware import probe
from ftui.hardware.document import Hardware
from ftui.planner.document import MemoryEstimate
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of

RESULTS = Path(__file__).resolve().parents[1] / "results"
LIBRARIES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate")
GIB = 1 << 30
KINDS = ("allocated", "reserved", "process")


def main() -> None:
    arguments = parsed()
    wanted = [case for case in cases(dry=arguments.dry) if all(word in case.name for word in arguments.only)]
    hardware = probe()
    if hardware.gpu is None and not arguments.dry and not arguments.list:
        sys.exit("There is no GPU here; --dry tries the script on the CPU.")
    if arguments.list:
        for case in wanted:
            print(f"{expected(case, hardware).process_bytes / GIB:7.1f} GiB  {case.name}")
        return
    device = "CPU (dry run)" if arguments.dry or hardware.gpu is None else hardware.gpu.name
    path = arguments.results / f"gpu_{slug(device)}.json"
    resumed = arguments.resume and path.is_file()
    found = json.loads(path.read_text(encoding="utf-8")) if resumed else start(device, hardware)
    done = {row["case"] for row in found["rows"]}
    for case in wanted:
        if case.name not in done:
            found["rows"].append(one(case, hardware, arguments))
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = table(found)
    path.with_suffix(".txt").write_text(text, encoding="utf-8")
    print(text)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="show what would be run and what it is expected to take")
    parser.add_argument("--only", nargs="*", default=[], help="configurations whose name holds all of these words")
    parser.add_argument("--resume", action="store_true", help="keep the results that are there")
    parser.add_argument("--steps", type=int, default=4, help="training steps of each")
    parser.add_argument("--timeout", type=int, default=900, help="seconds after which one is given up")
    parser.add_argument("--dry", action="store_true", help="a tiny model on the CPU")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for JSON and table")
    return parser.parse_args()


def start(device: str, hardware: Hardware) -> dict[str, Any]:
    """The document without rows."""
    gpu = hardware.gpu
    return {
        "device": device, "total_bytes": gpu.total_bytes if gpu else None,
        "compute_capability": gpu.compute_capability if gpu else None, "driver": hardware.driver,
        "versions": {name: version(name) for name in LIBRARIES}, "date": time.strftime("%Y-%m-%d"), "rows": [],
    }


def expected(case: Case, hardware: Hardware) -> MemoryEstimate:
    """The planner's estimate for this machine; for one without a card, that of the benchmarks' A100."""
    if hardware.gpu is None and case.recipe.compute.gpus != 0:
        return memory(case.setup)
    return memory(setup_of(case.recipe, hardware, case.shape, None))


def one(case: Case, hardware: Hardware, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one configuration in a child; its row."""
    estimate = expected(case, hardware)
    row: dict[str, Any] = {"case": case.name, "rows": case.rows, "length": case.length, "expected": {
        "allocated": estimate.allocated_bytes, "reserved": estimate.reserved_bytes, "process": estimate.process_bytes,
        "low": estimate.low_bytes, "high": estimate.high_bytes, "phase": estimate.phase,
    }}
    gpu = hardware.gpu
    if gpu is not None and not arguments.dry and estimate.low_bytes > gpu.free_bytes:
        row["skipped"] = f"needs at least {estimate.low_bytes / GIB:.1f} of {gpu.free_bytes / GIB:.1f} GiB"
    else:
        row |= child(case, arguments)
    print(line(row), flush=True)
    return row


def child(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    job = json.dumps({"case": case.name, "dry": arguments.dry, "steps": arguments.steps})
    command = [sys.executable, str(Path(__file__).with_name("measure_one.py"))]
    try:
        done = subprocess.run(command, input=job, capture_output=True, text=True, timeout=arguments.timeout)
    except subprocess.TimeoutExpired:
        return {"failed": f"no end after {arguments.timeout} s"}
    if done.returncode:
        last = [text for text in done.stderr.strip().splitlines() if text.strip()][-1:]
        return {"failed": last[0][:300] if last else f"the process ended with {done.returncode}"}
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {"out_of_memory": measured.pop("out_of_memory"), "measured": measured} if "out_of_memory" in measured else {
        "measured": measured
    }


def line(row: dict[str, Any]) -> str:
    """One row of the table: expected and measured GiB of each kind with the error, and tokens per second."""
    name, want, got = f"{row['case']:34s}", row["expected"], row.get("measured", {})
    if why := row.get("skipped") or row.get("failed"):
        return f"{name} {'skipped' if 'skipped' in row else 'failed'}: {why}"
    if "out_of_memory" in row:
        return f"{name} out of memory: reserved {got['reserved'] / GIB:.2f}, expected {want['process'] / GIB:.2f} GiB"
    cells = [compared(want[kind], got.get(kind)) for kind in KINDS]
    inside = "yes" if want["low"] <= got["process"] <= want["high"] else "no"
    context = f"{got['context'] / (1 << 20):5.0f}" if "context" in got else " " * 5
    return f"{name} {'  '.join(cells)}  {inside:>3s} {context} {got['tokens_per_second']:9.0f}"


def compared(want: int, got: int | None) -> str:
    return " " * 20 if got is None else f"{want / GIB:6.2f} {got / GIB:6.2f} {want / got - 1:+6.1%}"


def table(found: dict[str, Any]) -> str:
    """All rows, and the errors' median and extremes."""
    libraries = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    head = f"{'expected, measured, error (GiB)':34s} " + "  ".join(f"{kind:>20s}" for kind in KINDS)
    lines = [
        f"{found['device']}, {found['date']}, {libraries}",
        "in: the interval holds the process's peak; ctx: MiB of the process outside torch's allocator.", "",
        f"{head}  {'in':>3s} {'ctx':>5s} {'tokens/s':>9s}", *map(line, found["rows"]),
    ]
    for kind in KINDS:
        errors = [
            row["expected"][kind] / row["measured"][kind] - 1
            for row in found["rows"] if kind in row.get("measured", {}) and "out_of_memory" not in row
        ]
        if errors:
            lines.append(f"{kind}: {len(errors)} rows, median |error| {statistics.median(map(abs, errors)):.2%}, "
                         f"worst {min(errors):+.1%} and {max(errors):+.1%}")
    return "\n".join(lines) + "\n"


def slug(device: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")


if __name__ == "__main__":
    main()
