"""Writes into the headers of the presets what the planner says they cost: `python tools/preset_costs.py`.

The words stay as they are; only the numbers before "GB of weights", behind "a download of", before "MB" or "GB" of the
result, and before "GiB on the card at the peak" change.  The card is the one that the line "Needs" names, the peak that
of the smallest micro-batch: where the preset leaves it open a plan takes as many rows as fit and pay.
"""

from __future__ import annotations

import re
import sys
import textwrap

from ftui import models, planner
from ftui.hardware.document import Cpu, Gpu, Hardware, Ram, TorchBuild
from ftui.planner.document import Option
from ftui.recipe import Preset, assign, presets

GIB = 1 << 30


def card(size: int) -> Hardware:
    """A machine with one Ampere card of `size` GiB, of which a twentieth is taken."""
    total = size * GIB
    free = int(0.95 * total)
    gpu = Gpu(
        index=0, name=f"{size} GiB", total_bytes=total, used_bytes=total - free, free_bytes=free, bf16=True,
        flash_attention=True, compute_capability=(8, 6),
    )
    return Hardware(
        host="box", system="Linux", time=0.0, gpus=(gpu,), driver="580.0", cuda_driver="13.0",
        cpu=Cpu(name="cpu", cores=16, host_cores=16, architecture="x86_64"),
        ram=Ram(total_bytes=128 * GIB, available_bytes=120 * GIB), torch=TorchBuild(version="2.13.0", cuda="13.0"),
    )


def option(preset: Preset) -> tuple[Option, int]:
    """What the preset takes on the card that its header names, and its model's download in bytes."""
    size = re.search(r"(\d+) GiB", preset.needs)
    if size is None:
        raise SystemExit(f"{preset.path}: the line Needs names no GiB.")
    shape = models.describe(preset.recipe.model.base)
    least = {} if preset.recipe.train.micro_batch != "auto" else {"train.micro_batch": 1}
    plan = planner.plan(card(int(size[1])), shape, None, assign(preset.recipe, least))
    return plan.recommendation, shape.parameters * 2


def costs(preset: Preset, text: str) -> str:
    """The preset's YAML with its header's numbers as the planner has them."""
    found, download = option(preset)
    megabytes = found.adapter_bytes / 1e6
    result = f"{megabytes / 1e3:.1f} GB" if megabytes >= 1e3 else f"{_few(megabytes)} MB"
    said = preset.cost
    for pattern, number in (
        (r"[\d.]+(?= GB of weights)", _few(found.memory.parts.weights / 1e9)),
        (r"(?<=a download of )[\d.]+", _few(download / 1e9)),
        (r"(?<=an adapter of about )[\d.]+ [MG]B", result),
        (r"(?<=a result of )[\d.]+ [MG]B", result),
        (r"(?<=at least )[\d.]+(?= GiB on the card at the peak)", f"{found.memory.process_bytes / GIB:.1f}"),
    ):
        said = re.sub(pattern, number, said)
    lines = textwrap.wrap(said, 117, initial_indent="# Costs:  ", subsequent_indent=f"#{' ' * 9}")
    return re.sub(r"# Costs:.*?\n(?=# Run:)", "\n".join(lines).replace("\\", r"\\") + "\n", text, flags=re.DOTALL)


def _few(number: float) -> str:
    """Two digits, no more."""
    return f"{float(f'{number:.2g}'):g}"


def main() -> None:
    for preset in presets():
        if preset.recipe.model.base == "demo":
            continue
        found, _ = option(preset)
        text = preset.path.read_text(encoding="utf-8")
        changed = costs(preset, text)
        if changed != text:
            preset.path.write_text(changed, encoding="utf-8")
        print(f"{preset.name:<24} {found.method:<10} {found.memory.process_bytes / GIB:6.1f} GiB  {found.verdict.text}",
              file=sys.stdout if found.verdict.fit != "no" else sys.stderr)


if __name__ == "__main__":
    main()
