"""The installed libraries against the traces that the closed form is held against: what they keep has not changed.

`tests/planner/traced.json` holds traced peaks with the versions they were traced with.  A transformers, trl or peft
that keeps other tensors turns this red: then trace anew (benchmarks/planner/trace.py, with --fixture) and mend the
formula.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ftui.recipe import assign  # noqa: E402
from ftui.recipe.document import Recipe  # noqa: E402
from ftui.worker.trace import trace_step  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("oracle")]

TRACED = json.loads((Path(__file__).parents[1] / "planner" / "traced.json").read_text(encoding="utf-8"))
WITHIN = 0.001
CASES = (
    "qwen2-0.5b / lora",
    "qwen2-0.5b / lora keep",
    "qwen2-0.5b / lora tiled",
    "qwen2-0.5b / lora full logits keep",
    "llama3-8b / lora dropout keep",
    "mistral-7b / lora float32",
    "qwen3-8b / lora tiled",
    "gemma2-2b / lora keep",
)


def stored(name: str) -> dict[str, Any]:
    found = [row for row in TRACED["rows"] if f"{row['architecture']} / {row['way']}" == name]
    assert found, f"{name} is not among the stored traces"
    row: dict[str, Any] = found[0]
    return row


def change(name: str) -> float:
    """Today's traced peak over the stored one, less one."""
    row = stored(name)
    asked = assign(Recipe(), row["asked"])
    return trace_step(asked, TRACED["architectures"][row["architecture"]]).allocated_bytes / row["allocated"] - 1


@pytest.mark.parametrize("name", CASES)
def test_the_libraries_keep_what_they_kept_when_the_formula_was_written(name: str) -> None:
    versions = {library: version(library) for library in TRACED["versions"]}
    assert abs(change(name)) < WITHIN, f"traced with {TRACED['versions']}, now with {versions}"


def test_a_change_in_a_library_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a new transformers kept the norms' results in float32 once more."""
    from transformers.models.qwen2 import modeling_qwen2

    plain = modeling_qwen2.Qwen2RMSNorm.forward

    def keeps_more(self: Any, states: Any) -> Any:
        found = plain(self, states).float()
        return (found * (1 + 0 * found.detach())).to(states.dtype)

    monkeypatch.setattr(modeling_qwen2.Qwen2RMSNorm, "forward", keeps_more)
    assert change("qwen2-0.5b / lora keep") > WITHIN
