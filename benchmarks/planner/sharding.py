"""Trace FSDP2 over a fake process group, and hold the closed form of one device of several against it.

    python benchmarks/planner/sharding.py [--only WORD ...] [--report]

A model is laid out as accelerate 1.15 does it (`accelerate.utils.fsdp_utils.fsdp2_prepare_model`) and takes a step on
fake tensors, as rank 0 of so many.  Writes tests/planner/traced_sharding.json, which the planner's tests read without
torch.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fixtures
from matrix import ARCHITECTURES, BASE, BOX

from ftui.models.shape import Origin, build
from ftui.planner.setup import Setup, setup_of
from ftui.recipe import assign
from ftui.recipe.document import Recipe

RESULTS = Path(__file__).resolve().parents[2] / "tests" / "planner" / "traced_sharding.json"
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate")

FULL = {"adapter": {"kind": "none"}}
KEEP = {"train.checkpointing": False}
TWICE = {"train.effective_batch": "twice"}
# Architecture, layers, devices, rows, tokens of a row, and what else the recipe asks.
CASES: tuple[tuple[str, int, int, int, int, dict[str, Any]], ...] = (
    ("llama3-8b", 4, 2, 1, 1024, FULL),
    ("llama3-8b", 4, 4, 1, 1024, FULL),
    ("llama3-8b", 4, 8, 1, 1024, FULL),
    ("llama3-8b", 4, 2, 1, 1024, {}),
    ("llama3-8b", 4, 4, 1, 1024, {}),
    ("llama3-8b", 4, 8, 1, 1024, {}),
    ("qwen2-0.5b", 6, 2, 2, 1024, FULL),
    ("qwen2-0.5b", 6, 8, 2, 1024, FULL),
    ("qwen2-0.5b", 6, 4, 2, 1024, {}),
    ("llama3-8b", 3, 4, 1, 2048, {**FULL, **KEEP}),
    ("llama3-8b", 3, 4, 1, 2048, KEEP),
    ("mistral-7b", 6, 8, 1, 4096, FULL),
    ("mistral-7b", 6, 8, 1, 4096, {}),
    ("llama2-7b", 3, 2, 1, 512, FULL),
    ("llama2-7b", 8, 8, 2, 2048, {}),
    ("llama2-7b", 5, 3, 1, 1024, FULL),
    ("mistral-7b", 4, 4, 1, 1024, {**FULL, **TWICE}),
    ("mistral-7b", 4, 4, 1, 1024, TWICE),
)


class Case:
    """A recipe, a config and a number of devices, from which both sides are made."""

    def __init__(self, architecture: str, layers: int, devices: int, rows: int, length: int, asked: dict[str, Any]):
        self.devices, self.rows, self.length = devices, rows, length
        self.config = {**ARCHITECTURES[architecture], "num_hidden_layers": layers}
        self.micro_batches = 2 if "train.effective_batch" in asked else 1
        wanted = {
            **BASE, **asked, "train.loss": "tiled", "train.trainer": "trl", "data.max_length": length,
            "train.micro_batch": rows, "train.effective_batch": rows * devices * self.micro_batches,
            "compute.gpus": devices, "compute.strategy": "fsdp",
        }
        if "adapter" in wanted:
            wanted = {path: value for path, value in wanted.items() if not path.startswith("adapter.")}
        self.asked = wanted
        self.recipe = assign(Recipe(), wanted)
        self.name = " ".join([architecture, f"{layers}x", f"{devices} devices", f"{rows}x{length}",
                              *map(str, asked.values())])

    @property
    def setup(self) -> Setup:
        return setup_of(self.recipe, BOX, build(self.config, Origin("bench", "config")), None)


def traced(case: Case) -> dict[str, Any]:
    """Allocated peak of rank 0 in bytes, the fullest moment of each phase, and what stays."""
    import torch
    import torch.distributed as dist
    import torch.distributed._tools.fake_collectives
    import trl.trainer.utils  # noqa: F401  (so that the world leads it as on CUDA)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from ftui.worker.trace.fake import World, answer, world
    from ftui.worker.trace.log import peaks
    from ftui.worker.trace.tracker import CUDA_ROUNDING, Tracker
    from ftui.worker.trace.workspace import cublas_bytes, hidden

    class Sharded(Tracker):
        """FSDP2 frees and grows gathered parameters by resizing their storage, which is no operation of torch's."""

        def resized(self, storage: Any) -> None:
            if storage._cdata in self._live:
                self._is_known(storage)

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=case.devices)
    mesh = init_device_mesh("cpu", (case.devices,))
    here = World()
    tracker = here.tracker = Sharded(rounding=CUDA_ROUNDING, hidden=hidden, answer=answer(here))
    try:
        with world(here), _seen_resizing(tracker):
            model, parameters = _sharded_model(case, mesh)
            optimizer = torch.optim.AdamW(parameters, fused=True)
            tracker.phase = "load"
            for parameter in model.parameters():
                tracker.adopt(parameter._local_tensor, "weights")
            with tracker:
                for capability in (here.capability, here.capability):
                    tracker.keep(cublas_bytes(capability), "workspace", "cuBLAS")
                tracker.phase = "setup"
                _step(case, model, optimizer, tracker, named=False)
                gc.collect()
                _step(case, model, optimizer, tracker, named=True)
    finally:
        dist.destroy_process_group()
    found = peaks(tracker.log)
    return {
        "allocated": found.whole.total, "static": found.static, "phase": found.whole.event.phase,
        "where": found.whole.event.where, "phases": {name: moment.total for name, moment in found.phases.items()},
    }


def _sharded_model(case: Case, mesh: Any) -> tuple[Any, list[Any]]:
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    from trl.trainer.utils import add_fused_lm_head

    from ftui.worker.trace.building import config_of, load

    full = case.recipe.adapter.kind == "none"
    base = model = load(config_of(case.config), dtype="bfloat16", attention="sdpa")
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    if not full:
        adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(base, adapter)
    if case.recipe.train.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if not full:
            model.enable_input_require_grads()
    model.train()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    base.tie_weights()
    given: dict[str, Any] = {
        "mesh": mesh,
        "mp_policy": MixedPrecisionPolicy(torch.bfloat16, torch.bfloat16, torch.bfloat16),
    }
    for layer in base.model.layers:
        fully_shard(layer, **given)
    into, out = base.get_input_embeddings(), base.get_output_embeddings()
    if into.weight is out.weight:
        fully_shard([base.model.norm, into, out], **given, reshard_after_forward=False)
    else:
        fully_shard(into, **given)
        fully_shard([base.model.norm, out], **given, reshard_after_forward=False)
    fully_shard(model, **given)
    return model, [parameter for parameter in model.parameters() if parameter.requires_grad]


def _step(case: Case, model: Any, optimizer: Any, tracker: Any, *, named: bool) -> None:
    """One optimizer step; gradients are reduced with the last micro-batch, as Trainer does (`no_sync` before)."""
    import torch

    for at in range(case.micro_batches):
        model.set_requires_gradient_sync(at == case.micro_batches - 1)
        tracker.phase = "forward" if named else "setup"
        rows = torch.empty(case.rows, case.length, dtype=torch.long)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=rows, labels=rows, use_cache=False, fused_lm_head=True).loss
        tracker.phase = "backwards" if named else "setup"
        loss.backward()
        del loss
    tracker.phase = "optimizer step" if named else "setup"
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextlib.contextmanager
def _seen_resizing(tracker: Any) -> Iterator[None]:
    import torch

    before = torch.UntypedStorage.resize_

    def resize(storage: Any, size: int) -> Any:
        found = before(storage, size)
        tracker.resized(storage)
        return found

    torch.UntypedStorage.resize_ = resize
    try:
        yield
    finally:
        torch.UntypedStorage.resize_ = before


if __name__ == "__main__":
    fixtures.main(__doc__ or "", [Case(*each) for each in CASES], traced, RESULTS, LIBRARIES)
