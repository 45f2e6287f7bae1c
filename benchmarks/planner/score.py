"""Hold the closed form against published measurements:  python benchmarks/planner/score.py [CSV] [--rows]

Scores the rows of measured_dev.csv that are complete, measured on one card, of a method that ftui has and of a model in
models.py.  Prints the error (predicted / measured - 1) by slice, and the rows beyond 10 %.
"""

from __future__ import annotations

import csv
import re
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from models import shape

from ftui.planner.geometry import chosen, geometry
from ftui.planner.memory import memory
from ftui.planner.setup import Setup, number_formats

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "planner" / "measured_dev.csv"
METHODS = {"lora": "lora", "rslora": "lora", "dora": "lora", "lora+": "lora", "qlora": "qlora", "full": "full"}
OPTIMIZERS = {"adamw_bnb_8bit": "adamw_8bit", "adamw_8bit": "adamw_8bit"}
ATTENTION = {"flash": "flash_attention_2", "flash_attention_2": "flash_attention_2", "no-flash": "eager"}


def main() -> None:
    arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
    path = Path(arguments[0]) if arguments else DEFAULT
    if not path.is_file():
        sys.exit(f"{path} is not here: give the CSV's path.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["complete"] == "yes"]
    scored, left_out = [], {}
    for row in rows:
        found = score(row)
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
        else:
            scored.append((row, *found))
    report(scored, left_out, len(rows), every="--rows" in sys.argv)


def score(row: dict[str, str]) -> tuple[float, float, bool] | str:
    """Predicted and measured GiB and whether the interval holds the latter, or why the row can't be scored."""
    notes = row["notes"]
    if "kind=measured" not in notes or "SUSPECT" in notes:
        return "not a measurement"
    if re.match(r"[2-9]x", row["gpu"]) or "total of" in notes or "per GPU" in notes:
        return "several cards"
    method = METHODS.get(row["method"])
    if method is None:
        return f"no such method in ftui ({row['method']})"
    if row["quant"] not in ("none", "nf4", "bnb4", "int8"):
        return f"no such quantization in ftui ({row['quant']})"
    found = shape(row["model"])
    if found is None:
        return "model's shape not in models.py"
    if "only part unfrozen" in notes:
        return "partly frozen"
    if not 0.93 < found.parameters / 1e9 / float(row["params_b"]) < 1.07:
        return "parameter count differs by over 7 %"
    predicted = memory(setup(row, method, found))
    measured = float(row["peak_gb"]) * (1e9 / 2**30 if "kind=measured; GB" in notes else 1.0)
    gib = 2**30
    value = (predicted.process_bytes if "process" in notes else predicted.reserved_bytes) / gib
    outside = predicted.process_bytes - predicted.reserved_bytes
    low, high = (predicted.low_bytes - outside) / gib, predicted.high_bytes / gib
    return value, measured, low <= measured <= high


def setup(row: dict[str, str], method: str, found) -> Setup:  # type: ignore[no-untyped-def]
    """What the row states; the stack of its project where it does not: full logits, unless a fused loss is named."""
    sizes = geometry(found)
    notes, targets = row["notes"], row["target_modules"].lower()
    quantized = {"nf4": "nf4", "bnb4": "nf4", "int8": "int8"}.get(row["quant"], "none")
    kind = "lora-int8" if quantized == "int8" else "qlora" if quantized == "nf4" else method
    names = [name.strip() for name in re.split(r"[,/ ]+", row["target_modules"]) if name.strip()]
    if "all" in targets or "(" in targets:
        wanted = chosen(sizes, "all-linear")
    elif "default qkv" in targets or "c_attn" in targets:
        wanted = tuple(t for t in sizes.targets if t.place == "attention in")
    else:
        wanted = chosen(sizes, tuple(names))
    padded = "sample_packing=True" not in notes and int(row["micro_batch"]) > 1
    return Setup(
        geometry=sizes, method=kind, device="cuda", rows=int(row["micro_batch"]), length=int(row["seq_len"]),
        padded=padded, checkpointing=row["grad_ckpt"] == "True",
        attention=ATTENTION.get(row["attention"], "sdpa"),
        optimizer=OPTIMIZERS.get(row["optimizer"].lower(), "adamw"), quantization=quantized,
        rank=int(float(row["rank"] or 0)), targets=() if method == "full" else wanted, dora=row["method"] == "dora",
        accumulation=16 if "grad accum 16" in notes else 1, dropout="swift" in row["source"],
        loss="tiled" if "CutCrossEntropy" in notes or "Liger" in notes else "full",
        compute_capability=(8, 0), **number_formats(kind, "cuda", "bfloat16"),
    )


def report(scored, left_out, total, *, every):  # type: ignore[no-untyped-def]
    print(f"{total} complete rows, {len(scored)} scored; left out: {dict(sorted(left_out.items()))}\n")
    slices: dict[str, list[tuple[float, bool]]] = {}
    for row, predicted, measured, inside in scored:
        error = predicted / measured - 1
        project = row["source"].split()[0].split("/")[-1]
        for name in ("all", project, f"{project} {row['method']} {row['quant']}"):
            slices.setdefault(name, []).append((error, inside))
    print(f"{'slice':34s} {'n':>3s} {'median |e|':>10s} {'worst under':>12s} {'worst over':>11s} {'in interval':>11s}")
    for name, found in slices.items():
        errors = [error for error, _ in found]
        print(f"{name:34s} {len(found):3d} {statistics.median(map(abs, errors)):10.1%} {min(0.0, min(errors)):12.1%} "
              f"{max(0.0, max(errors)):11.1%} {sum(inside for _, inside in found) / len(found):11.0%}")
    print("\nrows" if every else "\nbeyond 10 %")
    for row, predicted, measured, _ in scored:
        error = predicted / measured - 1
        if every or abs(error) > 0.10:
            where = row["source"].split("@")[0].split("/")[-1][-28:]
            what = f"{row['model'][-26:]:26s} {row['method']} {row['quant']} r{row['rank']} b{row['micro_batch']}"
            how = f"s{row['seq_len']} ckpt={row['grad_ckpt']} {row['attention']}"
            print(f"  {error:+7.1%} {predicted:6.1f} for {measured:6.1f} GiB  {what} {how}  {where}")


if __name__ == "__main__":
    main()
