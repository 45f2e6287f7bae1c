"""Trace the cases of a benchmark into a fixture of the tests, and hold the closed form against what is there."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from ftui.planner.memory import memory
from ftui.planner.setup import Setup


class Case(Protocol):
    """What a fixture needs of a case."""

    name: str
    config: dict[str, Any]
    asked: dict[str, Any]

    @property
    def setup(self) -> Setup: ...


def main(
    about: str, cases: Sequence[Any], traced: Callable[[Any], dict[str, Any]], file: Path, libraries: Sequence[str]
) -> None:
    """The command line of such a benchmark: trace what is wanted, write `file` after each, print how far off it is."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="cases whose name holds all of these words")
    parser.add_argument("--report", action="store_true", help="trace nothing, compare with what is there")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    known = json.loads(file.read_text("utf-8"))["cases"] if file.exists() else []
    results = {row["name"]: row for row in known}
    wanted = [case for case in cases if all(word in case.name for word in arguments.only)]
    for case in () if arguments.report else wanted:
        began = time.monotonic()
        try:
            found = traced(case)
        except Exception as error:  # noqa: BLE001  (whatever a library throws is this case's result)
            print(f"failed  {case.name}: {type(error).__name__}: {str(error).splitlines()[0][:200]}", flush=True)
            continue
        results[case.name] = {"name": case.name, "config": case.config, "asked": case.asked, **found}
        print(f"{found['allocated'] / 2**20:9.1f} MiB {time.monotonic() - began:5.1f} s  {case.name}", flush=True)
        whole = {"versions": {name: version(name) for name in libraries}, "cases": list(results.values())}
        file.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    report([(case, results[case.name]) for case in wanted if case.name in results])


def report(rows: Sequence[tuple[Case, dict[str, Any]]]) -> None:
    """Print each case's error, the formula's over the trace's allocated peak, then the median and the worst."""
    errors = []
    for case, row in rows:
        predicted = memory(case.setup)
        errors.append(predicted.allocated_bytes / row["allocated"] - 1)
        print(f"{errors[-1]:+7.2%}  {case.name}: {predicted.allocated_bytes / 2**20:,.0f} in {predicted.phase} | "
              f"{row['allocated'] / 2**20:,.0f} in {row['phase']}")
    sizes = sorted(map(abs, errors))
    if sizes:
        print(f"{len(sizes)} cases: median {sizes[len(sizes) // 2]:.2%}, worst {sizes[-1]:.2%}")
