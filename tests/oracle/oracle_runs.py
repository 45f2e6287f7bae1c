"""One training step of trl's own trainers on a small model, twice: with real tensors, measured, and with fake ones.

Both go through the same code: the trainer's constructor, its collator, `Trainer`'s order of a step.  Only the weights'
values differ, and who is asked for the bytes.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ftui.worker.trace.building import config_of, quantize
from ftui.worker.trace.fake import World
from ftui.worker.trace.log import Log, Peaks, peaks
from ftui.worker.trace.step import measure, trace_trainer
from ftui.worker.trace.tracker import Tracker

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        "model_type": "llama", "vocab_size": 2048, "hidden_size": 128, "intermediate_size": 384,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "tie_word_embeddings": False, "pad_token_id": 98,
    },
    "qwen3": {
        "model_type": "qwen3", "vocab_size": 2048, "hidden_size": 128, "intermediate_size": 384,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
        "max_position_embeddings": 256, "tie_word_embeddings": True, "pad_token_id": 98,
    },
}
ROWS, LENGTH = 2, 128


@dataclass(frozen=True)
class Row:
    """One comparison."""

    trainer: str
    """sft, dpo or reward."""
    method: str
    """lora, full or nf4 (LoRA on a 4-bit base)."""
    model: str = "llama"
    dtype: str = "float32"
    checkpointing: bool = True
    accumulation: int = 1

    @property
    def name(self) -> str:
        kept = "checkpointed" if self.checkpointing else "kept"
        steps = f" ×{self.accumulation}" if self.accumulation > 1 else ""
        return f"{self.trainer} {self.method} {self.model} {self.dtype} {kept}{steps}"

    @property
    def adapter(self) -> bool:
        return self.method != "full"

    @property
    def layers(self) -> int:
        return int(CONFIGS[self.model]["num_hidden_layers"])


def measured(row: Row, folder: Path, *, profiled: bool = False) -> tuple[Peaks, int | None]:
    """The peaks of a real step on the CPU; `profiled`: what torch's profiler saw at most of the CPU's allocator beyond
    what was there when the step began."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trainer = make(row, folder, fake=False)
    tracker = Tracker()
    with quiet():
        if not profiled:
            log = measure(trainer, lambda: batches(row, trainer), tracker, adapter=row.adapter, layers=row.layers)
            return peaks(log), None
        log, most = _profiled(row, trainer, tracker)
        return peaks(log), most


def traced(row: Row, folder: Path) -> Peaks:
    """The peaks of the same step on fake tensors."""
    here = World(device="cpu", trained_share=trained_share(row))
    return peaks(trace_trainer(
        lambda: make(row, folder, fake=True), lambda trainer: batches(row, trainer), here, adapter=row.adapter,
        layers=row.layers,
    ))


def trained_share(row: Row) -> float:
    """The share of tokens whose log-probabilities count: of a pair, the answers."""
    return 1.0 if row.trainer != "dpo" else (LENGTH // 2) / LENGTH


def make(row: Row, folder: Path, *, fake: bool) -> Any:
    """The trainer, with its model (and reference) built inside."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

    count = ROWS * row.accumulation
    common: dict[str, Any] = {
        "output_dir": str(folder), "per_device_train_batch_size": ROWS, "gradient_accumulation_steps": row.accumulation,
        "max_steps": 2, "max_length": LENGTH, "gradient_checkpointing": row.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if row.checkpointing else None,
        "bf16": row.dtype == "bfloat16", "use_cpu": True, "report_to": [], "save_strategy": "no", "disable_tqdm": True,
    }
    task = "SEQ_CLS" if row.trainer == "reward" else "CAUSAL_LM"
    adapter = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type=task) if row.adapter else None
    pair = {"prompt": words(1, LENGTH // 2), "chosen": " " + words(2, LENGTH // 2 - 1),
            "rejected": " " + words(3, LENGTH // 2 - 1)}
    with quiet():
        model = base(row, fake=fake)
        given: dict[str, Any] = {"model": model, "processing_class": tokenizer(), "peft_config": adapter}
        match row.trainer:
            case "sft":
                tokens = [[(7 * i + j) % 97 for j in range(LENGTH)] for i in range(count)]
                return SFTTrainer(args=SFTConfig(**common), train_dataset=Dataset.from_dict({"input_ids": tokens}),
                                  **given)  # fmt: skip
            case "dpo":
                reference = None if row.adapter else base(row, fake=fake)
                return DPOTrainer(args=DPOConfig(**common), train_dataset=Dataset.from_list([pair] * count),
                                  ref_model=reference, **given)  # fmt: skip
            case _:
                return RewardTrainer(args=RewardConfig(**common), train_dataset=Dataset.from_list([pair] * count),
                                     **given)  # fmt: skip


def base(row: Row, *, fake: bool) -> Any:
    """The model: of random values, or without any."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig
    from transformers.initialization import no_init_weights

    config, dtype = config_of(CONFIGS[row.model]), getattr(torch, row.dtype)
    kind: Any = AutoModelForCausalLM
    if row.trainer == "reward":
        kind, config.num_labels = AutoModelForSequenceClassification, 1
    quantization = None
    if row.method == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    with no_init_weights() if fake else contextlib.nullcontext():
        model = kind.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.tie_weights()
    if quantization is not None and fake:
        quantize(model, quantization)
    elif quantization is not None:
        weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        model = type(model).from_pretrained(
            None, config=config, state_dict=weights, dtype=dtype, attn_implementation="sdpa", device_map={"": "cpu"},
            quantization_config=quantization,
        )
    model.config.use_cache = False
    return model


def batches(row: Row, trainer: Any) -> list[dict[str, Any]]:
    """The micro-batches of a step, as the trainer's own collator makes them."""
    rows = [trainer.train_dataset[index] for index in range(ROWS * row.accumulation)]
    return [trainer.data_collator(rows[at : at + ROWS]) for at in range(0, len(rows), ROWS)]


def words(number: int, count: int) -> str:
    return " ".join([f"w{number}"] * count)


def tokenizer() -> Any:
    """A token for each of 97 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {f"w{number}": number for number in range(97)} | {"<unk>": 97, "<pad>": 98, "<eos>": 99}
    inner = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    import datasets

    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _profiled(row: Row, trainer: Any, tracker: Tracker) -> tuple[Log, int]:
    """A second step under the profiler; what its allocator's events add up to at most."""
    from ftui.worker.trace.step import lead

    log = measure(trainer, lambda: batches(row, trainer), tracker, adapter=row.adapter, layers=row.layers)
    micro = batches(row, trainer)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        lead(trainer, micro, tracker)
    held = most = 0
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return log, most
