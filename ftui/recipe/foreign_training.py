"""Other tools' keys of how is trained: batches, steps, the schedule, the optimizer, number formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftui.recipe import foreign_words as words
from ftui.recipe.foreign_reading import Reading, is_number, wanted


def batches(reading: Reading) -> None:
    """Rows at once, and by accumulation; the effective batch is that of one device, as written."""
    rows = wanted(reading, "per_device_train_batch_size", "per_gpu_train_batch_size", "per_device_batch_size",
                  "micro_batch_size", "train_batch_size", "batch_size")
    micro = reading.given[rows[0]] if rows else None
    for key in rows:
        reading.put(key, "train.micro_batch", reading.given[key])
    for key in wanted(reading, "gradient_accumulation_steps", "gradient_accumulation"):
        times = reading.given[key]
        if not isinstance(times, int) or isinstance(times, bool):
            reading.refuse(key, "it should be a whole number")
        elif not isinstance(micro, int):
            reading.refuse(key, "without a batch size per device ftui can't tell the effective batch; add "
                                "per_device_train_batch_size")
        else:
            reading.put(key, "train.effective_batch", micro * times, f"{micro} × {times}, on one device")
    if isinstance(micro, int) and not isinstance(micro, bool) and "train.effective_batch" not in reading.values:
        reading.values["train.effective_batch"] = micro
        reading.said.append(f"{rows[0]}: {micro} -> train.effective_batch: {micro} (without accumulation, one device)")


def steps(reading: Reading) -> None:
    """Numbers of steps: limits, warm-up, evaluation, saving."""
    limit = reading.given.get("max_steps")
    for key in wanted(reading, "max_steps"):
        if isinstance(limit, int | float) and limit <= 0:
            reading.leave(key, "the epochs decide")
        else:
            reading.put(key, "train.max_steps", limit)
    for key in wanted(reading, "warmup_ratio", "warmup_steps"):
        value = reading.given[key]
        if not is_number(value):
            reading.refuse(key, "it should be a number")
        elif value < 1:
            reading.put(key, "train.warmup", value)
        elif value == 1 and key == "warmup_ratio":
            reading.refuse(key, "it should be a share below 1")
        elif isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
            reading.put(key, "train.warmup", round(value / limit, 6), f"{value} of {limit} steps")
        elif reading.given.get("warmup_ratio"):
            reading.refuse(key, "warmup_ratio says otherwise")
        else:
            reading.refuse(key, "ftui takes a share of the steps, whose number isn't known here; write warmup_ratio")
    for key in wanted(reading, "logging_steps"):
        value = reading.given[key]
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        reading.put(key, "train.logging_steps", value) if whole else reading.leave(key, "ftui logs every step")
    for key, path in (("eval_steps", "train.eval_steps"), ("save_steps", "train.save_steps")):
        if not wanted(reading, key):
            continue
        value = reading.given[key]
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            reading.put(key, path, value)
        elif isinstance(value, float) and 0 < value < 1 and isinstance(limit, int) and limit > 0:
            reading.put(key, path, max(1, round(value * limit)), f"{value} of {limit} steps")
        else:
            reading.put(key, path, "auto", "a share of steps whose number isn't known here: about ten in a run")
    for key in wanted(reading, "evals_per_epoch", "saves_per_epoch"):
        path = "train.eval_steps" if key.startswith("eval") else "train.save_steps"
        reading.put(key, path, "auto", "ftui counts in steps, not in epochs: about ten in a run")
    for key in wanted(reading, "evaluation_strategy", "eval_strategy"):
        if str(reading.given[key]) in ("no", "False"):
            reading.put(key, "data.validation", 0, "nothing is evaluated")
        elif str(reading.given[key]) == "epoch":
            reading.put(key, "train.eval_steps", "auto", "ftui counts in steps, not in epochs: about ten in a run")
        else:
            reading.leave(key, "ftui evaluates by steps")


def schedule(reading: Reading) -> None:
    """The schedule with its own arguments."""
    keys = wanted(reading, "lr_scheduler_type", "lr_scheduler")
    given = reading.given.get("lr_scheduler_kwargs") or {}
    for key in keys:
        reading.choose(key, "train.schedule", words.SCHEDULES)
    if given and not (keys and isinstance(given, Mapping)):
        reading.refuse("lr_scheduler_kwargs", "it should hold arguments of the schedule that lr_scheduler_type names")
    if not keys or not isinstance(given, Mapping):
        return
    extra: dict[str, Any] = dict(given)
    name = str(reading.given[keys[0]]).lower()
    holder = "lr_scheduler_kwargs" if "lr_scheduler_kwargs" in reading.given else keys[0]
    rate, limit = reading.given.get("learning_rate"), reading.given.get("max_steps")
    if name == "cosine_with_restarts":
        reading.put(holder, "train.cycles", extra.pop("num_cycles", 1), "" if extra else "transformers' own number")
    if name == "polynomial" and "power" in extra:
        reading.put(holder, "train.power", extra.pop("power"))
    if name == "warmup_stable_decay" and "min_lr_ratio" in extra:
        reading.put(holder, "train.min_rate", extra.pop("min_lr_ratio"))
    known = isinstance(limit, int) and limit > 0
    if name == "warmup_stable_decay" and known and is_number(extra.get("num_decay_steps")):
        falling = extra.pop("num_decay_steps")
        reading.put(holder, "train.decay_share", round(falling / limit, 6), f"{falling} of {limit} steps")
    if name in ("cosine_with_min_lr", "polynomial"):
        least = extra.pop("min_lr_rate", None)
        lowest = extra.pop("min_lr" if name.startswith("cosine") else "lr_end", None)
        if least is None and is_number(lowest) and is_number(rate) and rate:
            least = lowest / rate
        if least is not None:
            reading.put(holder, "train.min_rate", least)
        elif name == "cosine_with_min_lr":
            reading.refuse(keys[0], "its min_lr_rate isn't given")
    if extra:
        reading.refuse("lr_scheduler_kwargs", f"ftui has nothing for {', '.join(extra)} of this schedule")
    reading.done.add("lr_scheduler_kwargs")


def optimizer(reading: Reading) -> None:
    for key in wanted(reading, "optim", "optimizer"):
        reading.choose(key, "train.optimizer", words.OPTIMIZERS)


def formats(reading: Reading) -> None:
    """Number formats of the model and of its quantization."""
    for key in wanted(reading, "torch_dtype", "dtype", "bnb_4bit_compute_dtype", "compute_dtype"):
        reading.choose(key, "model.dtype", words.DTYPES)
    for key, dtype in (("bf16", "bfloat16"), ("pure_bf16", "bfloat16"), ("fp16", "float16"), ("float16", "float16"),
                       ("bfloat16", "bfloat16")):
        if not wanted(reading, key):
            continue
        if reading.given[key] == "auto":
            reading.put(key, "model.dtype", "auto")
        elif reading.given[key]:
            reading.put(key, "model.dtype", dtype)
        else:
            reading.leave(key, "another format is asked for, or ftui chooses by the device")
    kind = str(reading.given.get("bnb_4bit_quant_type") or reading.given.get("quantization_type") or "nf4").lower()
    named = wanted(reading, "bnb_4bit_quant_type", "quantization_type")
    reading.done |= set(named)
    for key in wanted(reading, "load_in_4bit", "load_in_8bit", "quantization_bit"):
        value = reading.given[key]
        bits = {"load_in_4bit": 4, "load_in_8bit": 8}.get(key, value) if value else 0
        if kind not in ("nf4", "fp4"):
            reading.refuse(named[0] if named else key, "ftui's 4-bit types are nf4 and fp4")
        elif bits == 4:
            reading.put(key, "model.quantization", kind, "" if named else "trl's and LLaMA-Factory's type")
        elif bits == 8:
            reading.put(key, "model.quantization", "int8")
        elif not bits:
            reading.leave(key, "it asks for nothing")
        else:
            reading.refuse(key, "ftui quantizes to 4 or 8 bits")
    for key in wanted(reading, "attn_implementation", "flash_attn", "flash_attention", "use_flash_attention_2",
                      "sdp_attention"):
        if reading.given[key] is False:
            reading.leave(key, "it asks for nothing")
        elif key == "sdp_attention":
            reading.put(key, "model.attention", "sdpa")
        else:
            reading.choose(key, "model.attention", words.ATTENTION)
