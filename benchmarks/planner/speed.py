"""Hold the time model against published tokens per second:  python benchmarks/planner/speed.py [CSV] [--rows]

Every row of one card whose speed is stated and that `rows.asked` can state as a recipe.  Prints the error of the step's
seconds (predicted / published - 1) by slice; the same where the share of each class of card is derived anew from all
rows but the one that is asked for; and what one share of the peak for all rows, the usual rule, would have said.

Two things that rows state have no setting: torch.compile and Unsloth's kernels fuse the element-wise operations.  They
are taken to move 0.4 of the bytes with 0.4 of the kernels; no plan of ftui's uses that figure.  Rows of PEFT's
comparison have 210 tokens on average (20,000 samples of 4,198,051 tokens, in its result files), in buckets.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rows import Row, asked

from ftui.hardware.document import Hardware
from ftui.models import describe
from ftui.planner.devices import SHEETS, Rate, rate
from ftui.planner.setup import Setup, setup_of
from ftui.planner.time import work_seconds
from ftui.planner.work import Batch, Work, step_work
from ftui.recipe import assign
from ftui.recipe.document import Recipe

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "planner" / "measured_dev.csv"
FUSED = 0.4
PEFT_TOKENS = 213
"""A little more than the mean of 210: buckets hold rows of nearly one length."""
METHODS = {"lora", "rslora", "dora", "mica", "qlora", "full", "lora(unsloth)", "qlora(unsloth)"}
SHARES = [share / 100 for share in range(20, 151, 2)]
DOUBTFUL = {
    "A6000": "4,699 tokens/s of an 8B LoRA would be 0.97 of that card's peak; by the sums a newer card",
}
UNKNOWN = ("baseline", "opt-in-bwd")
"""Of torchtune's rows: unpacked rows of unknown length, and optimizer steps inside the backward pass."""


@dataclass(frozen=True, eq=False)
class Timed:
    """One row: its work, its device, and the published seconds of a step."""

    name: str
    project: str
    setup: Setup
    done: Batch
    work: Work
    rate: Rate
    peak: float
    seconds: float

    @property
    def device(self) -> str:
        return self.rate.name.replace("NVIDIA ", "").removesuffix(" 24GB").removesuffix(" 40GB")

    def predicted(self, share: float | None = None) -> float:
        """Seconds of a step, with `share` of the 16-bit peak in place of the table's."""
        found = self.rate if share is None else replace(self.rate, half=self.peak * share)
        return work_seconds(self.work, self.done, self.setup, found)

    def simple(self, share: float) -> float:
        """Seconds by one share of the peak, as a single model-FLOPs-utilisation figure says."""
        return self.work.products / (self.peak * share * 1e12)


def main() -> None:
    arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
    path = Path(arguments[0]) if arguments else DEFAULT
    if not path.is_file():
        sys.exit(f"{path} is not here: give the CSV's path.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["tokens_per_s"]]
    left_out: dict[str, int] = {}
    timed: list[Timed] = []
    for row in rows:
        found = timed_row(row)
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
        else:
            timed.append(found)
    report(timed, left_out, len(rows), every="--rows" in sys.argv)


def timed_row(row: dict[str, str]) -> Timed | str:
    """The row as work on a device, or why it can't be stated."""
    if row["method"] not in METHODS:
        return "a method that isn't planned"
    if (card := next((name for name in DOUBTFUL if name in row["gpu"]), None)) is not None:
        return f"doubtful: {DOUBTFUL[card]}"
    if any(word in row["notes"] for word in UNKNOWN) or "Paged" in row["optimizer"]:
        return "rows of unknown length, or an optimizer that isn't planned"
    plain = {**row, "method": row["method"].removesuffix("(unsloth)"), "peak_gb": row["peak_gb"] or "1"}
    plain["method"] = "lora" if plain["method"] == "mica" else plain["method"]
    if not plain["rank"] and plain["method"] != "full":
        plain["rank"] = "8"  # torchtune's default, in its own configs
    stated = asked(plain)
    if isinstance(stated, str):
        return stated
    if len(stated.hardware.gpus) != 1 or row["gpu"][:1] in "23456789":
        return "several cards"
    return _timed(row, stated)


def _timed(row: dict[str, str], stated: Row) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(stated.config))
        shape = describe(str(file))
        recipe = assign(Recipe(), {**stated.settings, "model.base": str(file)})
        setup = setup_of(recipe, stated.hardware, shape, None)
    length = PEFT_TOKENS if "MetaMath" in row["source"] else int(row["seq_len"])
    notes = row["notes"]
    if "torchtune" in row["source"] and ("chunked" in notes or "+activation" in notes or "+optimizer" in notes
                                         or "8-bit" in notes or "packed, compile" in notes):
        setup = replace(setup, loss="chunked")
    if "unsloth" in row["method"]:
        setup = replace(setup, loss="liger")
    if "torchtune" in row["source"] or "Factory" in row["source"]:
        setup = replace(setup, padded=False, attention="eager" if "eager" in row["attention"] else setup.attention)
    setup = replace(setup, rows=int(row["micro_batch"]), length=length, padding="longest")
    tokens = float(setup.rows * length)
    done = Batch(tokens, tokens * length, tokens)
    work = step_work(setup, done)
    fused = "unsloth" in row["method"] or ("torchtune" in row["source"] and _compiled(notes))
    if fused:
        passing = work.moved - work.weights - work.stream - work.codes
        work = work._replace(moved=work.moved - (1 - FUSED) * passing, kernels=FUSED * work.kernels)
    if "MetaMath" in row["source"] and setup.full:
        # Its AdamW is torch's multi-tensor one, which passes over the states tensor by tensor: some 20 widths, not 7.
        more = 13.0 * setup.weight_bytes * setup.geometry.parameters
        work = work._replace(moved=work.moved + more, stream=work.stream + more)
    speed, peak = _device(stated.hardware)
    return Timed(
        f"{row['method']} {row['model'].rsplit('/', 1)[-1]} b{row['micro_batch']} s{row['seq_len']}"
        + (" fused" if fused else ""),
        row["source"].split()[0].rsplit("/", 1)[-1], setup, done, work, speed, peak,
        tokens / float(row["tokens_per_s"]),
    )


def _device(hardware: Hardware) -> tuple[Rate, float]:
    """The rates of a row's card, spelled as its driver would, and its 16-bit peak in TFLOP/s."""
    gpu = hardware.gpu
    assert gpu is not None
    name = gpu.name.removeprefix("1x ").replace("RTX4090", "RTX 4090")
    card = hardware.model_copy(update={"gpus": (gpu.model_copy(update={"name": name}),)})
    peak = next(sheet.half for sheet in SHEETS if any(part in name.lower() for part in sheet.names))
    return rate(card, cpu=False), peak


def _compiled(notes: str) -> bool:
    return "compile" in notes or any(f"+{word}" in notes for word in ("chunked", "activation", "optimizer", "8-bit"))


def best(rows: list[Timed], seconds: str = "predicted") -> float:
    """The share of the peak with the least mean error over `rows`."""
    return min(SHARES, key=lambda share: sum(abs(math.log(getattr(row, seconds)(share) / row.seconds)) for row in rows))


def report(timed: list[Timed], left_out: dict[str, int], total: int, *, every: bool) -> None:
    print(f"{total} rows with a speed, {len(timed)} of one card scored; left out:")
    for reason, count in sorted(left_out.items(), key=lambda item: -item[1]):
        print(f"  {count:3d}  {reason}")
    classes: dict[str, list[Timed]] = {}
    for row in timed:
        classes.setdefault(row.device, []).append(row)
    print("\nshare of the 16-bit peak with the least error:", end=" ")
    print(", ".join(f"{name} {best(rows):.2f} of {len(rows)} rows" for name, rows in classes.items()))
    apart = {row: row.predicted(best(rest) if (rest := [r for r in rows if r is not row]) else None) / row.seconds - 1
             for rows in classes.values() for row in rows}
    single = best(timed, "simple")
    print(f"\n{'slice':34s} {'n':>3s} {'mean |e|':>9s} {'median':>7s} {'worst':>7s} {'in interval':>11s} "
          f"{'left out':>9s} {f'MFU {single:.2f}':>9s}")
    for name, found in _slices(timed):
        errors = [row.predicted() / row.seconds - 1 for row in found]
        inside = [1 / row.rate.doubt <= row.predicted() / row.seconds <= row.rate.doubt for row in found]
        print(f"{name:34s} {len(found):3d} {_mean(errors):9.1%} {statistics.median(map(abs, errors)):7.1%} "
              f"{max(errors, key=abs):+7.1%} {sum(inside) / len(inside):11.0%} "
              f"{_mean([apart[row] for row in found]):9.1%} "
              f"{_mean([row.simple(single) / row.seconds - 1 for row in found]):9.1%}")
    if every:
        print()
        for row in timed:
            print(f"  {row.predicted() / row.seconds - 1:+7.1%} {row.predicted():8.3f} for {row.seconds:8.3f} s  "
                  f"{row.device:12s} {row.name}")


def _mean(errors: list[float]) -> float:
    return statistics.fmean(map(abs, errors))


def _slices(timed: list[Timed]) -> Iterator[tuple[str, list[Timed]]]:
    yield "all", timed
    for name in dict.fromkeys(row.device for row in timed):
        yield name, [row for row in timed if row.device == name]
    for project in dict.fromkeys(row.project for row in timed):
        yield project, [row for row in timed if row.project == project]
    yield "as ftui trains: nothing fused", [row for row in timed if "fused" not in row.name]


if __name__ == "__main__":
    main()
