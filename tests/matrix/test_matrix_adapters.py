"""Every adapter on every kind of base: trained, saved, loaded in plain peft, merged; or refused where its row says no.

    pytest tests/matrix/test_matrix_adapters.py                holds what happens against the rows and the record
    FTUI_RECORD=1 pytest tests/matrix/test_matrix_adapters.py  writes the record, from which docs/make.py makes a table
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from matrix_options import recipe_of

from ftui.methods import ADAPTERS
from ftui.recipe.pairs import impossible_pairs

KINDS = [kind for kind, row in ADAPTERS.items() if row.trains and row.saved == "adapter"]
"""Those whose result is an adapter."""

BASES = {"fp32": "none", "nf4": "nf4", "int8": "int8"}
RECORD = Path(__file__).parent / "adapters.json"
CLOSE = 1e-5
"""Of the largest logit: what float32 loses in a dozen products."""
ACTIVATIONS = 0.1
"""The same where int8 also quantizes what flows in, on one side of a comparison."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:peft", "ignore::RuntimeWarning:peft", "ignore::UserWarning:bitsandbytes",
    "ignore::FutureWarning",
)


def works(kind: str, base: str) -> bool:
    row = ADAPTERS[kind]
    return {"fp32": True, "nf4": row.on_nf4, "int8": row.on_int8}[base]


def recorded() -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def test_the_rows_say_what_was_recorded() -> None:
    record = recorded()
    assert set(record) == set(KINDS)
    for kind, bases in record.items():
        row = ADAPTERS[kind]
        assert {base: "refused" not in found for base, found in bases.items()} == {
            base: works(kind, base) for base in BASES
        }, kind
        for base, found in bases.items():
            if "refused" in found:
                continue
            assert (found["merged"] == "exact") == row.mergeable, (kind, base)
            if base == "nf4" and row.mergeable:
                assert (found["merged in place"] == "rounds") == row.requantizes, kind


def test_every_row_says_what_it_costs() -> None:
    for kind, row in ADAPTERS.items():
        assert row.formula, kind
        assert row.inference, kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", [base for base in BASES if base != "fp32"])
def test_what_does_not_work_is_refused_before_anything_loads(kind: str, base: str) -> None:
    found = dict(impossible_pairs(recipe_of(kind, BASES[base])))
    assert ("model.quantization" in found) != works(kind, base)
    assert works(kind, base) or f"does not work on a base in {base}: " in found["model.quantization"]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with random weights and the demo's tokenizer."""
    pytest.importorskip("torch").set_num_threads(1)
    from matrix_runs import write_base

    return write_base(tmp_path_factory.mktemp("matrix"))


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_trains_saves_reloads_and_merges_as_its_row_says(
    kind: str, base: str, base_model: Path, tmp_path: Path
) -> None:
    row = ADAPTERS[kind]
    if not works(kind, base):
        note(kind, base, {"refused": True})
        return
    from matrix_runs import run

    found = run(kind, BASES[base], base_model, tmp_path)
    assert all(loss == loss and abs(loss) < 100 for loss in found.losses)
    assert found.moved == found.tensors
    assert found.changed > 1e-3
    assert found.reloaded <= CLOSE
    told: dict[str, Any] = {"reloaded": "exact", "merged": "no"}
    if row.mergeable:
        assert found.merged is not None
        assert found.merged <= CLOSE
        told["merged"] = "exact"
        if base != "fp32":
            assert found.dequantized is not None
            assert found.dequantized <= (CLOSE if base == "nf4" else ACTIVATIONS)
            told["merged in place"] = found.in_place
    note(kind, base, told)


def note(kind: str, base: str, told: dict[str, Any]) -> None:
    """Write what happened into the record, or hold it against that."""
    if os.environ.get("FTUI_RECORD"):
        record = recorded() if RECORD.exists() else {}
        found = {**record.get(kind, {}), base: told}
        record[kind] = {each: found[each] for each in BASES if each in found}
        ordered = {each: record[each] for each in KINDS if each in record}
        RECORD.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
        return
    assert recorded()[kind][base] == told
