"""`ftui calibrate`: measure what this machine's device does, so that plans say how long a run really takes here."""

from __future__ import annotations

import sys
from typing import Any

import typer

from ftui.cli.output import print_json


def command(
    cpu: bool = typer.Option(False, "--cpu", help="Measure the processor though there is a GPU."),
    show: bool = typer.Option(False, "--show", help="Measure nothing; say what is known of this machine."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Measure matrix products, memory, tiny operations, 4-bit weights and a two-layer training step on this device."""
    from ftui.calibration import calibration

    if not show:
        from ftui.cli.waiting import stand_by
        from ftui.runs.control import start_job

        line = "ftui calibrate --cpu" if cpu else "ftui calibrate"
        run = start_job("calibrate", {"gpus": 0} if cpu else {}, "calibrate", command=line)
        sys.exit(stand_by(run, as_json=as_json))
    known = calibration()
    if as_json:
        print_json(known)
        return
    _print(known)


def _print(known: Any) -> None:
    from ftui.units import plain

    for name in sorted({*known.measured, *known.learned}):
        print(plain(name))
        if (one := known.measured.get(name)) is not None:
            print(f"  measured    {one.day} with torch {plain(one.torch)}")
            print(f"  products    {one.half:.3g} TFLOP/s in 16 bits, {one.single:.3g} in float32")
            print(f"  memory      {one.bandwidth:.3g} GB/s; {one.launch * 1e6:.3g} µs per operation")
            if one.dequantization is not None:
                print(f"  4 bits      {one.dequantization:.3g} GB/s on the way to 16")
            if one.probe_seconds and one.probe_predicted:
                print(f"  probe       {one.probe_seconds:.3g} s a step, {one.probe_predicted:.3g} s estimated")
            if one.context_bytes is not None:
                print(f"  context     {one.context_bytes / 2**20:.0f} MiB")
        if (taught := known.learned.get(name)) is not None:
            runs = "1 finished run" if taught.runs == 1 else f"{taught.runs} finished runs"
            print(f"  learned     {runs}: steps took {taught.step:.2f} of their estimate, memory {taught.memory:.2f}")
    if not known.measured and not known.learned:
        print("Nothing is known of this machine yet. Measure it: ftui calibrate")
    for problem in known.problems:
        print(f"ftui: {plain(problem)}", file=sys.stderr)
