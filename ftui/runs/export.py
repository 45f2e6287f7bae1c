"""A run's numbers as a table for other programs: CSV, JSON, JSON lines or Parquet, by the file's ending."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftui.errors import BadInput, Refused
from ftui.files import write_atomic
from ftui.runs.folder import Run
from ftui.runs.follow import Curves, history

Row = dict[str, float | int | None]


def export(run: Run, path: Path) -> int:
    """Write a row for each step at which something was measured; returns how many.

    Columns are step, time (seconds since 1970) and every number of the metrics and evaluations, those of evaluations as
    eval_NAME; a step that a later attempt made again counts once.  Raises BadInput for an ending that is none of
    `WRITERS`, Refused for a file that exists or a run without numbers.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise BadInput(f"{path.name}: no table is written as {path.suffix or 'that'}.", f"One of {', '.join(WRITERS)}.")
    if path.exists():
        raise Refused(f"{path} exists; nothing was overwritten.", "Choose another name.")
    rows = table(run)
    if not rows:
        raise Refused(f"{run.id} has measured nothing yet.", f"Watch it: ftui watch {run.id}")
    write_atomic(path, writer(rows), mode=0o644)
    return len(rows)


def table(run: Run) -> list[Row]:
    """The rows of `export`, in the order of their steps; a value that was not finite is None."""
    curves = Curves()
    curves.extend(history(run))
    rows: dict[int, Row] = {}
    for name, series in curves.items():
        for step, value, when in zip(series.steps, series.values, series.times, strict=True):
            row = rows.setdefault(step, {"step": step, "time": when})
            row[name] = value if math.isfinite(value) else None
    names = ["step", "time", *curves]
    return [{name: rows[step].get(name) for name in names} for step in sorted(rows)]


def _csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(rows: list[Row]) -> str:
    return json.dumps(rows, indent=1) + "\n"


def _lines(rows: list[Row]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _parquet(rows: list[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    held = io.BytesIO()
    types = [(name, pyarrow.int64() if name == "step" else pyarrow.float64()) for name in columns]
    parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(types)), held)
    return held.getvalue()


WRITERS: dict[str, Callable[[list[Row]], str | bytes]] = {
    ".csv": _csv, ".json": _json, ".jsonl": _lines, ".parquet": _parquet,
}
