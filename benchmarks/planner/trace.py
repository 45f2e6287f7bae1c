"""Hold the closed form against the dry trace:  python benchmarks/planner/trace.py [--only WORD ...] [--report] [--rows]

Traces every case of matrix.py that has no result yet, and appends each result to a JSONL file under its configuration
and the library versions: stop it and start it again at will.  Then prints the closed form's error by slice, and the
worst rows with both breakdowns.  The formula is computed anew each time, so after a change to it --report is enough.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from matrix import Case, cases

from ftui.planner.allocator import library_workspace
from ftui.planner.memory import moments
from ftui.planner.states import adapter_bytes, optimizer_bytes, weight_bytes

RESULTS = Path(__file__).resolve().parents[1] / "results" / "planner_traces.jsonl"
LIBRARIES = ("torch", "transformers", "peft", "trl", "bitsandbytes")
MODES = ("expandable", "native")
WORST = 12
MIB, GIB = 1 << 20, 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="cases whose name holds all of these words")
    parser.add_argument("--report", action="store_true", help="print what is there, trace nothing")
    parser.add_argument("--rows", action="store_true", help="print every row")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the JSONL file")
    parser.add_argument("--fixture", type=Path, help="write what is there for tests/planner, small, with versions")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return trace_all(sys.stdin.read().splitlines(), arguments.results)
    wanted = [case for case in cases() if all(word in case.name for word in arguments.only)]
    if arguments.fixture:
        return write_fixture(wanted, read(arguments.results), arguments.fixture)
    if not arguments.report:
        run(wanted, arguments.results)
    report(wanted, read(arguments.results), every=arguments.rows)


def key_of(case: Case) -> str:
    """What a result depends on: the configuration and the library versions."""
    depends = [case.config, case.asked, {name: version(name) for name in LIBRARIES}]
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def write_fixture(wanted: list[Case], results: dict[str, dict[str, Any]], path: Path) -> None:
    """The traced peaks in bytes, against which the closed form is tested without torch."""
    found = [(case, results[key_of(case)]) for case in wanted if "allocated" in results.get(key_of(case), {})]
    rows = [
        {"architecture": case.architecture, "way": case.way, "asked": case.asked, "allocated": result["allocated"]}
        for case, result in found
    ]
    content = {
        "versions": {name: version(name) for name in LIBRARIES},
        "architectures": {case.architecture: case.config for case, _ in found},
    }
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = json.dumps(content, indent=1)[:-2]
    path.write_text(f'{head},\n "rows": [\n{lines}\n]}}\n', encoding="utf-8")


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Results by key, the newest of each."""
    if not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["key"]: line for line in lines}


def run(wanted: list[Case], path: Path) -> None:
    """Trace what has no result, in a child: what aborts there (a fake tensor in C++) costs one case, not the run."""
    missing = [case for case in wanted if key_of(case) not in read(path)]
    while missing:
        print(f"{len(missing)} cases to trace.", flush=True)
        names = "\n".join(case.name for case in missing)
        child = subprocess.run([sys.executable, __file__, "--child", "--results", str(path)], input=names, text=True)
        done = read(path)
        missing = [case for case in missing if key_of(case) not in done]
        if child.returncode and missing:
            record(path, missing.pop(0), {"error": f"the process ended with {child.returncode}"})


def trace_all(names: list[str], path: Path) -> None:
    """The child's part: trace these cases one after the other."""
    warnings.filterwarnings("ignore")
    by_name = {case.name: case for case in cases()}
    for name in names:
        began = time.monotonic()
        try:
            found = traced(by_name[name])
        except Exception as error:  # noqa: BLE001  (whatever a library throws is this case's result)
            found = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        record(path, by_name[name], {**found, "seconds": round(time.monotonic() - began, 1)})
        print(f"{found.get('allocated', 0) / GIB:8.2f} GiB {time.monotonic() - began:6.1f} s  {name}  "
              f"{found.get('error', '')}", flush=True)


def record(path: Path, case: Case, found: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key_of(case), "case": case.name, **found}) + "\n")


def traced(case: Case) -> dict[str, Any]:
    """Allocated peak of a training step in bytes, its phase, its parts, the peak of each phase, and what CUDA's caching
    allocator reserves for it in either mode."""
    from ftui.worker.trace import trace_step

    found = trace_step(case.recipe, case.config, rows=case.rows, length=case.length)
    whole = found.peaks.whole
    return {
        "allocated": whole.total, "phase": whole.event.phase, "where": whole.event.where,
        "parts": {name: size for name, size in whole.parts.items() if size},
        "phases": {name: moment.total for name, moment in found.peaks.phases.items()},
        "reserved": {mode: found.reserved(expandable=mode == "expandable").peak_reserved for mode in MODES},
    }


def predicted(case: Case) -> tuple[int, str, dict[str, int], dict[str, int]]:
    """The closed form's peak of a training step, as `traced`: without loading and evaluation."""
    setup = case.setup
    weights, adapter, states = weight_bytes(setup), adapter_bytes(setup), optimizer_bytes(setup)
    libraries = library_workspace(setup)
    steps = [moment for moment in moments(setup) if moment.phase not in ("load", "evaluation")]
    phases = {moment.phase: int(weights + adapter + libraries + moment.total(states)) for moment in steps}
    peak = max(steps, key=lambda moment: moment.total(states))
    parts = {
        "weights": weights, "adapter": adapter, "optimizer": states, "gradients": int(peak.gradients),
        "activations": int(peak.activations), "logits": int(peak.logits), "workspace": int(peak.workspace) + libraries,
    }
    return phases[peak.phase], peak.phase, parts, phases


def report(wanted: Iterable[Case], results: dict[str, dict[str, Any]], *, every: bool) -> None:
    """Errors (closed form / trace - 1) by slice, then the worst rows with both breakdowns."""
    rows, failed = [], []
    for case in wanted:
        found = results.get(key_of(case))
        if found is None:
            continue
        if "error" in found:
            failed.append((case, found["error"]))
            continue
        value, phase, parts, phases = predicted(case)
        rows.append((value / found["allocated"] - 1, case, found, value, phase, parts, phases))
    if not rows:
        sys.exit("No results yet.")
    slices: dict[tuple[str, str], list[float]] = {}
    for error, case, *_ in rows:
        for name in (("all", ""), *case.slices.items()):
            slices.setdefault(name, []).append(error)
    print(f"{'slice':32s} {'n':>4s} {'median |e|':>10s} {'mean |e|':>9s} {'worst under':>12s} {'worst over':>11s}")
    for (kind, name), errors in sorted(slices.items()):
        print(f"{kind + ' ' + name:32s} {len(errors):4d} {statistics.median(map(abs, errors)):10.2%} "
              f"{statistics.fmean(map(abs, errors)):9.2%} {min(0.0, *errors):12.2%} {max(0.0, *errors):11.2%}")
    rows.sort(key=lambda row: -abs(row[0]))
    print(f"\n{'all rows' if every else f'the {WORST} worst rows'}: closed form | trace, MiB")
    for error, case, found, value, phase, parts, phases in rows if every else rows[:WORST]:
        print(f"{error:+7.2%}  {case.name}: {value / MIB:,.0f} in {phase} | {found['allocated'] / MIB:,.0f} in "
              f"{found['phase']} ({found['where']})")
        for title, mine, theirs in (("parts", parts, found["parts"]), ("phases", phases, found["phases"])):
            print(f"    {title}: {numbers(mine)}\n    {' ' * len(title)}| {numbers(theirs)}")
    for case, error in failed:
        print(f"  failed  {case.name}: {error}")


def numbers(parts: dict[str, int]) -> str:
    return ", ".join(f"{name} {value / MIB:,.0f}" for name, value in parts.items() if value >= MIB)


if __name__ == "__main__":
    main()
