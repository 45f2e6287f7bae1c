"""How long planning takes:  python benchmarks/plan.py [--json]

A full plan (every method, length, batch, optimizer), one estimate, and an edit that changes every layer's tape (another
rank each time, so that nothing of it is known), on machines from a laptop to an H200 and models from 0.5 to 70 B, best
and median of many in CPU time, which other programs disturb less; and that nothing heavy was imported for it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from ftui.data.document import DataProfile, Lengths
from ftui.hardware.document import Cpu, Gpu, Hardware, Ram
from ftui.models.document import Linear, ModelShape
from ftui.planner import estimate, plan, resolve
from ftui.recipe import assign
from ftui.recipe.document import Recipe

GIB = 1 << 30
HEAVY = ("torch", "transformers", "peft", "trl", "datasets", "numpy")


def main() -> None:
    profile = data()
    rows = []
    for machine in machines():
        for shape in models():
            draft = Recipe()
            resolved = resolve(draft, plan(machine, shape, profile, draft))
            rows.append({
                "machine": machine.device_name, "model": shape.ref,
                "plan_ms": clock(lambda m=machine, s=shape, d=draft: plan(m, s, profile, d), 30),
                "estimate_ms": clock(lambda m=machine, s=shape, r=resolved: estimate(r, m, s, profile), 200),
                "edit_ms": edits(machine, shape, profile, resolved, 33 + 30 * len(rows)),
            })
    heavy = sorted(set(HEAVY) & set(sys.modules))
    if "--json" in sys.argv:
        print(json.dumps({"rows": rows, "heavy_imports": heavy}, indent=2))
        return
    print(f"{'ms, best / median':26s} {'model':6s} {'plan':>13s} {'estimate':>13s} {'new rank':>13s}")
    for row in rows:
        (best, median), (one, middle), (fresh, usual) = row["plan_ms"], row["estimate_ms"], row["edit_ms"]
        print(f"{row['machine']:26s} {row['model']:6s} {best:5.1f} / {median:5.1f} {one:5.2f} / {middle:5.2f} "
              f"{fresh:5.2f} / {usual:5.2f}")
    worst = {name: max(row[name][1] for row in rows) for name in ("plan_ms", "estimate_ms", "edit_ms")}
    print(f"worst median: plan {worst['plan_ms']:.1f} ms (goal 20), estimate {worst['estimate_ms']:.2f} ms (goal 1), "
          f"with a new rank {worst['edit_ms']:.2f} ms; heavy imports: {heavy or 'none'}")


def clock(call, times: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Best and median milliseconds of `call`."""
    return timed([call] * times)


def edits(
    machine: Hardware, shape: ModelShape, profile: DataProfile, resolved: Recipe, least: int
) -> tuple[float, float]:
    """Best and median milliseconds of estimates after an edit, each with a rank, from `least` up, never asked for."""
    edited = [assign(resolved, {"adapter.kind": "lora", "adapter.rank": rank, "adapter.alpha": 32,
                                "adapter.dropout": 0.0}) for rank in range(least, least + 30)]
    return timed([lambda r=recipe: estimate(r, machine, shape, profile) for recipe in edited])  # type: ignore[misc]


def timed(calls) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Best and median milliseconds of the calls."""
    spent = []
    for call in calls:
        begun = time.process_time()
        call()
        spent.append((time.process_time() - begun) * 1e3)
    return min(spent), statistics.median(spent)


def machines() -> list[Hardware]:
    cards = [
        (None, 0, (0, 0)), ("Tesla T4", 15, (7, 5)), ("NVIDIA GeForce RTX 3090", 24, (8, 6)),
        ("NVIDIA A100-SXM4-80GB", 80, (8, 0)), ("NVIDIA H200", 141, (9, 0)),
    ]
    return [
        Hardware(
            host="box", system="Linux", time=0.0,
            gpus=() if name is None else (Gpu(
                index=0, name=name, total_bytes=size * GIB, used_bytes=0, free_bytes=size * GIB,
                compute_capability=capability, bf16=capability >= (8, 0),
            ),),
            cpu=Cpu(name="cpu", cores=8, host_cores=8, architecture="x86_64"),
            ram=Ram(total_bytes=32 * GIB, available_bytes=28 * GIB),
        )
        for name, size, capability in cards
    ]


def models() -> list[ModelShape]:
    # hidden, intermediate, layers, heads, key/value heads, head size, vocabulary, tied
    sizes = {
        "0.5B": (896, 4864, 24, 14, 2, 64, 151936, True), "8B": (4096, 14336, 32, 32, 8, 128, 128256, False),
        "70B": (8192, 28672, 80, 64, 8, 128, 128256, False),
    }
    return [_shape(name, *found) for name, found in sizes.items()]


def _shape(
    ref: str, hidden: int, mlp: int, layers: int, heads: int, kv_heads: int, size: int, vocab: int, tied: bool
) -> ModelShape:
    query, key = heads * size, kv_heads * size
    linears = tuple(Linear(name=n, inputs=i, outputs=o, count=layers) for n, i, o in (
        ("q_proj", hidden, query), ("k_proj", hidden, key), ("v_proj", hidden, key), ("o_proj", query, hidden),
        ("gate_proj", hidden, mlp), ("up_proj", hidden, mlp), ("down_proj", mlp, hidden),
    ))
    weights = sum(x.inputs * x.outputs * x.count for x in linears)
    return ModelShape(
        ref=ref, source="config", model_type="llama", architecture="LlamaForCausalLM", hidden=hidden, intermediate=mlp,
        layers=layers, heads=heads, kv_heads=kv_heads, head_dim=size, vocab=vocab, context_length=8192,
        tied_embeddings=tied, linears=linears, embedding_parameters=vocab * hidden,
        parameters=weights + (1 if tied else 2) * vocab * hidden + (2 * layers + 1) * hidden,
    )


def data() -> DataProfile:
    """Ten thousand conversations in a hundred bins of length."""
    edges = tuple(range(0, 4097, 41))
    histogram = tuple(max(1, round(300 * 0.95**i)) for i in range(len(edges) - 1))
    rows = sum(histogram)
    return DataProfile(sources=(), kind="conversation", rows=rows, lengths=Lengths(
        tokenizer="x", exact=True, sampled=rows, mean=700, p50=500, p90=1800, p99=3400, max=4000,
        total_tokens=700 * rows, trained_share=0.6, edges=edges, histogram=histogram,
    ))


if __name__ == "__main__":
    main()
