"""The dry trace against real CPU runs of trl's own trainers on small models: to half a per cent, phase by phase.

The trace is what the closed form is held against, and GPUs are rare: this is where the chain is tied to measurements.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

# Found on the path that conftest.py sets.
from oracle_runs import LENGTH, ROWS, Row, measured, traced  # noqa: E402

from ftui.worker.trace.log import Peaks  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("oracle")]

WITHIN = 0.005
QUICK = (
    Row("sft", "lora"),
    Row("sft", "nf4"),
    Row("dpo", "full"),
)
ALL = (
    Row("sft", "full", checkpointing=False),
    Row("sft", "full", accumulation=2),
    Row("sft", "lora", "qwen3", "bfloat16", checkpointing=False),
    Row("sft", "full", "qwen3", "bfloat16"),
    Row("sft", "nf4", "qwen3", "bfloat16", checkpointing=False),
    Row("dpo", "lora"),
    Row("dpo", "nf4"),
    Row("dpo", "lora", dtype="bfloat16", checkpointing=False),
    Row("dpo", "full", "qwen3", "bfloat16"),
    Row("reward", "lora"),
    Row("reward", "full", checkpointing=False),
    Row("reward", "nf4", dtype="bfloat16"),
)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """trl reports each trainer that is made, unless it is told that nobody is there."""
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def differences(real: Peaks, dry: Peaks) -> dict[str, float]:
    """Trace over measurement, less one: of the whole step, of what was there before it, and of each phase."""
    assert set(dry.phases) == set(real.phases)
    found = {"whole": dry.whole.total / real.whole.total - 1, "before": dry.static / real.static - 1}
    return found | {phase: dry.phases[phase].total / moment.total - 1 for phase, moment in real.phases.items()}


def beyond(real: Peaks, dry: Peaks) -> dict[str, float]:
    """Those of them that are more than is allowed."""
    return {name: round(error, 4) for name, error in differences(real, dry).items() if abs(error) > WITHIN}


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_the_trace_meets_a_real_step_of_trl(row: Row, tmp_path: Path) -> None:
    assert beyond(measured(row, tmp_path)[0], traced(row, tmp_path)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_the_trace_meets_a_real_step_of_trl_in_every_way(row: Row, tmp_path: Path) -> None:
    assert beyond(measured(row, tmp_path)[0], traced(row, tmp_path)) == {}


@pytest.mark.slow
def test_the_tracker_sees_what_the_profiler_of_torch_sees(tmp_path: Path) -> None:
    """Two counters that know nothing of each other: storages by weak references, and the CPU's allocator itself."""
    real, allocator = measured(Row("sft", "full", checkpointing=False), tmp_path, profiled=True)
    assert allocator is not None
    batch = 3 * 8 * ROWS * LENGTH  # made before the profiler started
    assert real.static + allocator == pytest.approx(real.whole.total - batch, rel=WITHIN)


def test_a_tensor_more_in_the_library_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the comparison is for: here the measured library keeps one more tensor per layer than the traced one."""
    from transformers.models.llama import modeling_llama

    row = Row("reward", "lora", checkpointing=False)
    dry = traced(row, tmp_path)
    assert beyond(measured(row, tmp_path)[0], dry) == {}
    plain = modeling_llama.LlamaMLP.forward

    def keeps_more(self: Any, x: Any) -> Any:
        # Both factors of a product are kept for its backward.
        found = plain(self, x)
        return found * (1 + 0 * found.detach())

    monkeypatch.setattr(modeling_llama.LlamaMLP, "forward", keeps_more)
    assert "whole" in beyond(measured(row, tmp_path)[0], dry)
