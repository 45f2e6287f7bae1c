"""The `calibrate` job: ten seconds of measuring what this machine's device does, for the planner's time estimates.

Large matrix products in 16 bits and in float32, a copy of a large tensor, a thousand tiny operations, 4-bit weights
turned into 16-bit ones; and three steps of a two-layer model through the very trainer that a run uses, which tells how
far the time model is off, and how much memory the CUDA context takes.

`args` of run.json: `gpus`, 0 to measure the CPU though there is a GPU.
"""

from __future__ import annotations

import datetime
import itertools
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ftui import calibration
from ftui.files import write_atomic
from ftui.hardware.document import Hardware
from ftui.planner.calibration import Calibration, Measured
from ftui.planner.devices import rate
from ftui.planner.setup import device_of as planned_device
from ftui.planner.setup import setup_of
from ftui.planner.time import work_seconds
from ftui.planner.work import DEQUANTIZED, Batch, step_work
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.worker.base import choose_device, device_of, set_threads
from ftui.worker.context import JobContext
from ftui.worker.memory import process_bytes

if TYPE_CHECKING:
    import torch

SECONDS = 1.0
"""What each measurement may take, once it is warm."""
STEPS = 4
"""Of the probe; the first one warms up."""
PRODUCT = {"cuda": (8192, 4096, 4096), "cpu": (256, 512, 512)}
"""Rows, inner and columns of the matrix product: as many tokens as a large and a small micro-batch have."""
COPY = {"cuda": 1 << 28, "cpu": 1 << 24}
"""float32 elements of the tensor that is copied: larger than any cache."""
QUANTIZED = {"cuda": (4096, 11008), "cpu": (256, 1376)}
PROBE: dict[str, dict[str, Any]] = {
    "cuda": {"hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 16, "num_key_value_heads": 8,
             "vocab_size": 32000, "rows": 4, "length": 1024},
    "cpu": {"hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 8, "num_key_value_heads": 4,
            "vocab_size": 4096, "rows": 2, "length": 128},
}


def run(context: JobContext) -> None:
    """Measure, keep the result for later plans, and say it."""
    from ftui import hardware as room

    draft = assign(Recipe(), {"compute.gpus": context.info.args.get("gpus", "auto")})
    choose_device(draft)
    context.emit("status", state="running", text="Measuring what this machine does.")
    context.progress("Loading the training libraries", 0, None, unit="row")
    hardware = room.probe()
    device, bf16 = device_of(draft)
    found = measure(context, device, hardware, bf16=bf16)
    if found is None:
        context.finish("Stopped before all was measured; nothing was kept.")
        return
    calibration.keep(found)
    write_atomic(context.output / "calibration.json", found.to_json(), mode=0o644)
    context.finish(said(found), metrics={
        name: value for name, value in found.as_dict().items() if isinstance(value, (int, float)) and name != "version"
    })


def said(found: Measured) -> str:
    """The result in a sentence."""
    text = (
        f"{found.device}: {found.half:.3g} TFLOP/s in 16 bits, {found.single:.3g} in float32, "
        f"{found.bandwidth:.3g} GB/s, {found.launch * 1e6:.3g} µs per operation"
    )
    if found.probe_seconds and found.probe_predicted:
        text += f"; a probe step took {found.probe_seconds / found.probe_predicted:.2f} of its estimate"
    if found.context_bytes is not None:
        text += f"; the CUDA context takes {found.context_bytes / 2**20:.0f} MiB"
    return f"{text}."


def measure(
    context: JobContext, device: str, hardware: Hardware, *, bf16: bool = True, seconds: float | None = None
) -> Measured | None:
    """Everything, on `device` ("cuda" or "cpu"), `seconds` for each figure; None where a stop was asked for."""
    import torch

    seconds = SECONDS if seconds is None else seconds

    # One thread on a CPU: what several add depends on who else is at work, and the probe is too small for them.
    threads = None if device == "cuda" else set_threads(Recipe(), 1)
    half = torch.bfloat16 if bf16 or device == "cpu" else torch.float16
    name = torch.cuda.get_device_name() if device == "cuda" else hardware.cpu.name
    values: dict[str, Any] = {}
    jobs: list[tuple[str, str, Callable[[], float | None]]] = [
        ("half", "Multiplying in 16 bits", lambda: _product(device, half, seconds)),
        ("single", "Multiplying in float32", lambda: _product(device, torch.float32, seconds)),
        ("bandwidth", "Copying memory", lambda: _copy(device, seconds)),
        ("launch", "A thousand tiny operations", lambda: _launch(device, seconds)),
        ("dequantization", "Turning 4 bits into 16", lambda: _dequantize(device, half, seconds)),
    ]
    for done, (key, text, job) in enumerate(jobs):
        if context.stop_asked:
            return None
        context.progress(text, done, len(jobs) + 1, unit="row")
        values[key] = job()
    rates = Measured(
        device=name, driver=hardware.driver if device == "cuda" else None, torch=_version("torch"),
        day=datetime.date.today().isoformat(), threads=threads, **values,
    )
    if context.stop_asked:
        return None
    context.progress("Training two layers for three steps", len(jobs), len(jobs) + 1, unit="row")
    step, predicted, outside = _probe(device, hardware, rates)
    context.progress("Training two layers for three steps", len(jobs) + 1, len(jobs) + 1, unit="row")
    return rates.model_copy(update={
        "probe_seconds": step, "probe_predicted": predicted, "context_bytes": outside,
    })


def _version(library: str) -> str:
    """As the installed package says it: what a later plan compares it with."""
    from ftui.runs.folder import versions

    return versions()[library]


def _seconds(work: Callable[[], object], device: str, budget: float) -> float:
    """The duration of `work`, called as often as `budget` seconds allow once it is warm; the lower quartile, since what
    else runs on the machine only ever makes it longer."""
    import torch

    def once() -> float:
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    times = [once()]
    if times[0] < budget / 3:
        # The first call loads kernels; one that takes so long by itself is no longer changed by that.
        times = [once()]
    while sum(times) < budget:
        times.append(once())
    return sorted(times)[len(times) // 4]


def _product(device: str, dtype: torch.dtype, seconds: float) -> float:
    """TFLOP/s of one large product."""
    import torch

    rows, inner, columns = PRODUCT[device]
    inputs = torch.randn(rows, inner, device=device).to(dtype)
    weight = torch.randn(columns, inner, device=device).to(dtype)
    each = _seconds(lambda: torch.nn.functional.linear(inputs, weight), device, seconds)
    return 2e-12 * rows * inner * columns / each


def _copy(device: str, seconds: float) -> float:
    """GB/s read and written; of half as large a tensor as often as that is too large for the device."""
    import torch

    count = COPY[device]
    if device == "cuda":
        count = min(count, int(torch.cuda.mem_get_info()[0] // 32))
    source = torch.ones(count, device=device)
    target = torch.empty_like(source)
    return 8e-9 * count / _seconds(lambda: target.copy_(source), device, seconds)


def _launch(device: str, seconds: float) -> float:
    """Seconds per operation of a thousand on a tensor that takes no time."""
    import torch

    tiny = torch.ones(64, device=device)

    def thousand() -> None:
        for _ in range(1000):
            torch.add(tiny, 1.0)

    return _seconds(thousand, device, seconds) / 1000


def _dequantize(device: str, dtype: torch.dtype, seconds: float) -> float | None:
    """GB/s of codes read and weights written; None where bitsandbytes doesn't serve this device."""
    import torch

    try:
        from bitsandbytes import functional
    except ImportError:
        return None
    weights = torch.randn(*QUANTIZED[device], device=device).to(dtype)
    try:
        codes, state = functional.quantize_4bit(weights, quant_type="nf4")
        each = _seconds(lambda: functional.dequantize_4bit(codes, state), device, seconds)
    except (RuntimeError, NotImplementedError):
        return None
    return 1e-9 * DEQUANTIZED["nf4"] * weights.numel() / each


def _probe(device: str, hardware: Hardware, rates: Measured) -> tuple[float, float, int | None]:
    """Seconds of a training step of two layers, what the time model says of it, and the context's bytes."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, TrainerCallback

    from ftui.models import describe
    from ftui.worker.adapters import BUILDERS
    from ftui.worker.objectives import builder
    from ftui.worker.precision import choose

    sizes = dict(PROBE[device])
    rows, length = sizes.pop("rows"), sizes.pop("length")
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if device == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoConfig.for_model("llama", num_hidden_layers=2, tie_word_embeddings=True, **sizes)
        file = Path(folder) / "config.json"
        file.write_text(json.dumps({**config.to_dict(), "architectures": ["LlamaForCausalLM"]}))
        recipe = _recipe(file, rows, length, device, hardware)
        precision = choose(recipe, cuda=device == "cuda", bf16=device == "cuda" and torch.cuda.is_bf16_supported(
            including_emulation=False))
        recipe = assign(recipe, {"model.dtype": precision.compute})
        with torch.device(device):
            base = AutoModelForCausalLM.from_config(
                config, dtype=getattr(torch, precision.weights), attn_implementation="sdpa", trust_remote_code=False
            )
        base.config.use_cache = False
        model = BUILDERS["lora"](base, recipe)
        data: Any = SimpleNamespace(train=Rows(rows * STEPS, length), validation=[], packed=False, pictured=False)
        trainer = builder("sft")(model, recipe, data, _tokenizer(), precision, device, Path(folder))
        trainer.args.max_steps = STEPS
        trainer.add_callback(Clock())
        trainer.train()
        shape = describe(str(file))
    outside = None
    if device == "cuda" and (held := process_bytes()) is not None:
        outside = held - torch.cuda.memory_reserved()
    setup = setup_of(recipe, hardware, shape, None)
    speed = rate(hardware, cpu=device == "cpu", calibration=Calibration(measured={rates.device: rates}))
    tokens = float(rows * length)
    done = Batch(tokens, tokens * length, tokens)
    step = statistics.median(later - earlier for earlier, later in itertools.pairwise(ends))
    return step, work_seconds(step_work(setup, done), done, setup, speed), outside


def _recipe(file: Path, rows: int, length: int, device: str, hardware: Hardware) -> Recipe:
    """The probe as a resolved recipe: what the trainer is built from, and what the estimate is made for."""
    settings = {
        "model.base": str(file), "model.quantization": "none", "model.attention": "sdpa",
        "model.dtype": "auto", "data.max_length": length, "adapter.kind": "lora", "adapter.rank": 16,
        "adapter.alpha": 32, "adapter.dropout": 0.0, "train.micro_batch": rows, "train.effective_batch": rows,
        "train.checkpointing": False, "train.optimizer": "adamw", "train.learning_rate": 1e-5, "train.epochs": 1,
        "compute.gpus": 0 if device == "cpu" else 1,
    }
    recipe = assign(Recipe(), settings)
    assert (planned_device(recipe, hardware) == "cpu") == (device == "cpu")
    return recipe


class Rows:
    """Rows of one length, every token trained."""

    def __init__(self, count: int, length: int) -> None:
        self.count, self.length = count, length

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        tokens = [(7 * index + place) % 97 for place in range(self.length)]
        return {"input_ids": tokens, "labels": tokens}


def _tokenizer() -> Any:
    """A tokenizer that trainers ask for padding and for nothing else."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<unk>": 0, "<pad>": 1, "<eos>": 2}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>")
