"""Hold the closed form against published measurements:  python benchmarks/planner/score.py [CSV] [--rows] [--write]

Each row of measured_dev.csv becomes a recipe, a machine and a config.json (`rows`), and goes the way that `ftui plan
--recipe R.yaml --hardware BOX.json --json` goes: recipe, description, plan, estimate.  Prints the error
(predicted / measured - 1) by slice, the rows beyond 10 % and what two published rules say of the same rows.
`complete` rows count; the others that state enough are scored apart.  --write records it in benchmarks/results.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rows import GIB, Row, asked

from ftui import planner
from ftui.errors import FtuiError
from ftui.models import describe
from ftui.planner.document import MemoryEstimate
from ftui.recipe import build

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "planner" / "measured_dev.csv"
RESULTS = Path(__file__).resolve().parents[1] / "results" / "planner_score.txt"

LLAMA_FACTORY = {"full": 8.0, "int8": 1.0, "nf4": 0.5, "lora": 2.0}
"""GB per billion parameters (LLaMA-Factory's README, "Hardware Requirement", estimated)."""
UNSLOTH = ((3, 3.5, 8), (7, 5, 19), (8, 6, 22), (9, 6.5, 24), (11, 7.5, 29), (14, 8.5, 33), (27, 22, 64), (32, 26, 76),
           (40, 30, 96), (70, 41, 164), (81, 48, 192), (90, 53, 212), (405, 237, 950))
"""Billion parameters, GB of QLoRA and of LoRA: the "absolute minimum" (unsloth.ai/docs, requirements)."""


@dataclass(frozen=True)
class Scored:
    """A row with what is predicted of it, in bytes of the kind that was measured."""

    row: Row
    predicted: float
    inside: bool
    phase: str

    @property
    def error(self) -> float:
        return self.predicted / self.row.measured - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--rows", action="store_true", help="every row, not only those beyond 10 %%")
    parser.add_argument("--write", action="store_true", help=f"record in {RESULTS.name}")
    options = parser.parse_args()
    if not options.csv.is_file():
        sys.exit(f"{options.csv} is not here: give the CSV's path.")
    with options.csv.open(newline="", encoding="utf-8") as file:
        every = list(csv.DictReader(file))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for title, part in (
            ("Complete rows", [row for row in every if row["complete"] == "yes"]),
            ("Rows that leave something open", [row for row in every if row["complete"] != "yes"]),
        ):
            scored, left_out = score_all(part)
            report(title, scored, left_out, len(part), every=options.rows)
    print(said.getvalue(), end="")
    if options.write:
        RESULTS.write_text(said.getvalue(), encoding="utf-8")


def score_all(rows: list[dict[str, str]]) -> tuple[list[Scored], Counter[str]]:
    """The rows that can be stated with their predictions, and why the others can't."""
    scored, left_out = [], Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            wanted = asked(row)
            if isinstance(wanted, Row):
                try:
                    scored.append(score(wanted, Path(folder)))
                    continue
                except FtuiError as error:
                    wanted = error.what
                except Exception as error:  # noqa: BLE001  (a defect of the planner's is to be seen beside the others)
                    wanted = f"the planner fails: {error!r}"
            left_out[wanted] += 1
    return scored, left_out


def score(row: Row, folder: Path) -> Scored:
    """The public way: a config.json on disk, a recipe of plain values, a plan, the estimate of what it resolves to."""
    place = folder / "config.json"
    place.write_text(json.dumps(row.config), encoding="utf-8")
    raw: dict[str, dict[str, object]] = {"model": {"base": str(place)}}
    for path, value in row.settings.items():
        section, _, name = path.partition(".")
        raw.setdefault(section, {})[name] = value
    draft, shape = build(raw, row.name), describe(str(place))
    plan = planner.plan(row.hardware, shape, None, draft)
    memory = planner.estimate(planner.resolve(draft, plan), row.hardware, shape, None).memory
    value, low, high = _of_kind(memory, row.kind)
    return Scored(row, value, low <= row.measured <= high, memory.phase)


def _of_kind(memory: MemoryEstimate, kind: str) -> tuple[float, float, float]:
    """Predicted, low and high bytes: the interval is around the process, so the context is taken off both ends."""
    value = {"allocated": memory.allocated_bytes, "reserved": memory.reserved_bytes}.get(kind, memory.process_bytes)
    outside = memory.process_bytes - value
    return value, memory.low_bytes - outside, memory.high_bytes - outside


def report(title: str, scored: list[Scored], left_out: Counter[str], total: int, *, every: bool) -> None:
    print(f"{title}: {total}, scored {len(scored)}.  Left out:")
    for reason, count in left_out.most_common():
        print(f"  {count:4d}  {reason}")
    if not scored:
        return
    print(f"\n{'slice':34s} {'n':>4s} {'median |e|':>10s} {'bias':>7s} {'under by >10 %':>14s} {'worst under':>12s} "
          f"{'worst over':>11s} {'in interval':>11s}")
    for name, found in _slices(scored):
        errors = [one.error for one in found]
        print(f"{_figures(name, errors)} {sum(one.inside for one in found) / len(found):11.0%}")
    for name, rule in (("LLaMA-Factory's table", llama_factory), ("Unsloth's minimum", unsloth)):
        pairs = [(guess, one.row.measured) for one in scored if (guess := rule(one.row))]
        errors = [guess / measured - 1 for guess, measured in pairs]
        if errors:
            print(_figures(name, errors))
    print("\nrows" if every else "\nbeyond 10 %")
    for one in sorted(scored, key=lambda one: one.error):
        if every or abs(one.error) > 0.10:
            doubt = f"  ({'; '.join(one.row.doubts)})" if one.row.doubts else ""
            figures = f"{one.predicted / GIB:7.2f} for {one.row.measured / GIB:7.2f} GiB {one.row.kind:9s}"
            print(f"  {one.error:+7.1%} {figures} {one.row.project:9s} {one.row.name}; {one.phase}{doubt}")
    print()


def _figures(name: str, errors: list[float]) -> str:
    under = sum(error < -0.10 for error in errors) / len(errors)
    return (f"{name:34s} {len(errors):4d} {statistics.median(map(abs, errors)):10.1%} "
            f"{statistics.median(errors):+7.1%} {under:14.1%} {min(0.0, *errors):12.1%} {max(0.0, *errors):11.1%}")


def _slices(scored: list[Scored]) -> Iterator[tuple[str, list[Scored]]]:
    yield "all", scored
    names = dict.fromkeys(label for one in scored for label in one.row.labels)
    for name in sorted(names):
        yield name, [one for one in scored if name in one.row.labels]


def _rule_of(row: Row) -> str:
    if row.settings["adapter.kind"] == "none":
        return "full"
    quantization = row.settings["model.quantization"]
    return "lora" if quantization == "none" else str(quantization)


def llama_factory(row: Row) -> float:
    """Bytes by LLaMA-Factory's table."""
    return LLAMA_FACTORY[_rule_of(row)] * row.parameters


def unsloth(row: Row) -> float | None:
    """Bytes by Unsloth's minimum, on a straight line between its sizes; it has none for full tuning and 8 bits."""
    column = {"nf4": 1, "lora": 2}.get(_rule_of(row))
    size = row.parameters / 1e9
    if column is None:
        return None
    if size <= UNSLOTH[0][0]:
        return UNSLOTH[0][column] * size / UNSLOTH[0][0] * 1e9
    for low, high in pairwise(UNSLOTH):
        if size <= high[0]:
            return (low[column] + (high[column] - low[column]) * (size - low[0]) / (high[0] - low[0])) * 1e9
    return None


if __name__ == "__main__":
    main()
