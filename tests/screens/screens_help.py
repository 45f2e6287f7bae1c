"""Machines and data as documents, so that a screen's test needs no GPU and no reading; and what stands on a screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from ftui.data.document import BadRow, DataProfile, Lengths, Source
from ftui.hardware.document import Cpu, Disk, Gpu, GpuProcess, Hardware, Ram, TorchBuild
from ftui.screens.wizard.wizard import WizardScreen

GIB = 1 << 30


def cpu_box() -> Hardware:
    """Two cores, 16 GiB, no GPU."""
    return Hardware(
        host="box", system="Linux 6.1 x86_64", time=4e9,
        cpu=Cpu(name="Xeon", cores=2, host_cores=2, architecture="x86_64"),
        ram=Ram(total_bytes=16 * GIB, available_bytes=14 * GIB),
        disks=(Disk(purpose="runs", path="/home/me", total_bytes=100 * GIB, free_bytes=60 * GIB),),
        torch=TorchBuild(version="2.13.0"),
    )


def gpu_box() -> Hardware:
    """One A100 with someone else's process on it, an older driver, and a cache that vanishes."""
    gpu = Gpu(
        index=0, name="NVIDIA A100-SXM4-80GB", total_bytes=80 * GIB, used_bytes=9 * GIB, free_bytes=71 * GIB, bf16=True,
        flash_attention=True, compute_capability=(8, 0), temperature_c=41, power_w=62, power_limit_w=400,
        processes=(GpuProcess(pid=4711, name="python", user="alice", used_bytes=8 * GIB),),
    )
    box = cpu_box()
    return box.model_copy(
        update={
            "gpus": (gpu,), "driver": "560.35", "cuda_driver": "12.6",
            "torch": TorchBuild(
                version="2.13.0", cuda="12.8", problem="torch was built for CUDA 12.8, the driver serves 12.6.",
                advice="pip install torch --index-url https://download.pytorch.org/whl/cu126",
            ),
            "disks": (box.disks[0].model_copy(update={"volatile": True}),),
        }
    )


def small_profile() -> DataProfile:
    """A thousand short rows, two of them bad."""
    source = Source(
        ref="rows.jsonl", rows=998, format="alpaca", confidence=0.98,
        columns={"instruction": "instruction", "output": "output"},
        available_columns=("instruction", "input", "output"),
    )
    lengths = Lengths(
        tokenizer="demo", exact=True, sampled=998, mean=97.0, p50=88, p90=190, p99=310, max=402, total_tokens=96_806,
        trained_share=0.6, edges=(0, 100, 200, 300, 403), histogram=(600, 300, 88, 10),
    )
    return DataProfile(
        sources=(source,), kind="conversation", rows=998, bad_rows=2, duplicate_rows=3,
        bad=(BadRow(source="rows.jsonl", line=17, reason="not JSON: expected ','"),),
        roles={"user": 998, "assistant": 998}, turns_mean=2.0, lengths=lengths,
    )


async def until(pilot: Pilot[int], holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `holds()` is true; fail with what the screen shows where it never is."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("it never came true; the screen shows:\n" + "\n".join(rows(pilot.app)))
        await pilot.pause(0.02)


def rows(app: App[int]) -> list[str]:
    """What stands on the screen, row by row."""
    lines = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def text(app: App[int]) -> str:
    """What stands on the screen, as one text."""
    return "\n".join(rows(app))


def drawn(pilot: Pilot[Any]) -> str:
    """What stands on the screen, as one text with its trailing spaces."""
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


async def until_drawn(pilot: Pilot[Any], *wanted: str, seconds: float = 30) -> str:
    """Wait until all of this stands on the screen, and return the screen's text."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if all(word in drawn(pilot) for word in wanted):
            return drawn(pilot)
        await pilot.pause(0.05)
    raise AssertionError(f"{wanted} not on the screen:\n{drawn(pilot)}")


def wizard(pilot: Pilot[int]) -> WizardScreen:
    """The wizard, which must be what is shown."""
    screen = pilot.app.screen
    assert isinstance(screen, WizardScreen)
    return screen


async def at(pilot: Pilot[int], step: str) -> WizardScreen:
    """Wait until the wizard shows `step` and is busy with nothing."""
    await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen) and wizard(pilot).state.step == step)
    await until(pilot, lambda: not wizard(pilot).state.busy)
    await pilot.pause()
    return wizard(pilot)


async def set_value(pilot: Pilot[int], path: str, value: str) -> None:
    """Set a setting as a person does: find it, open it, write, enter."""
    editor = pilot.app.screen.query_one("#editor", Input)
    await pilot.press("slash")
    editor.value = path
    await pilot.press("enter", "enter")
    editor.value = value
    await pilot.press("enter")
    await pilot.pause(0.05)
    await until(pilot, lambda: not pilot.app.screen.state.busy)  # type: ignore[attr-defined]
