"""Keys of other tools whose meaning depends on their value, or on other keys: one function for each subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import foreign_words as words


@dataclass
class Reading:
    """One configuration on its way."""

    given: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def put(self, key: str, path: str, value: Any, why: str = "") -> None:
        """The key says this; twice the same is fine, two different values are not."""
        self.done.add(key)
        if path in self.values and self.values[path] != value:
            self.refused.append(
                f"{key}: {shown(self.given[key])} contradicts {path}: {shown(self.values[path])} of another key"
            )
            return
        self.values[path] = value
        note = f" ({why})" if why else ""
        self.said.append(f"{key}: {shown(self.given[key])} -> {path}: {shown(value)}{note}")

    def leave(self, key: str, why: str) -> None:
        """The key is not needed."""
        self.done.add(key)
        self.said.append(f"{key}: {shown(self.given[key])} -> left out: {why}")

    def refuse(self, key: str, why: str) -> None:
        """The key matters, and ftui can't do what it says."""
        self.done.add(key)
        self.refused.append(f"{key}: {shown(self.given[key])}: {why}")

    def choose(self, key: str, path: str, choices: Mapping[str, str]) -> None:
        """A word of theirs for a word of ours."""
        word = str(self.given[key]).lower()
        if word in choices:
            self.put(key, path, choices[word])
        else:
            self.refuse(key, f"ftui has none of that name; it knows {', '.join(sorted(set(choices)))}")


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(one)}" for key, one in value.items()) + "}"
    return str(value)


def _wanted(reading: Reading, *keys: str) -> list[str]:
    """Those of `keys` that are there and say something."""
    return [key for key in keys if key in reading.given and key not in reading.done]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _batches(reading: Reading) -> None:
    """Rows at once, and by accumulation; the effective batch is that of one device, as written."""
    rows = _wanted(reading, "per_device_train_batch_size", "per_gpu_train_batch_size", "per_device_batch_size",
                   "micro_batch_size", "train_batch_size", "batch_size")
    micro = reading.given[rows[0]] if rows else None
    for key in rows:
        reading.put(key, "train.micro_batch", reading.given[key])
    for key in _wanted(reading, "gradient_accumulation_steps", "gradient_accumulation"):
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


def _steps(reading: Reading) -> None:
    """Numbers of steps: limits, warm-up, evaluation, saving."""
    limit = reading.given.get("max_steps")
    for key in _wanted(reading, "max_steps"):
        if isinstance(limit, int | float) and limit <= 0:
            reading.leave(key, "the epochs decide")
        else:
            reading.put(key, "train.max_steps", limit)
    for key in _wanted(reading, "warmup_ratio", "warmup_steps"):
        value = reading.given[key]
        if not _number(value):
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
    for key in _wanted(reading, "logging_steps"):
        value = reading.given[key]
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        reading.put(key, "train.logging_steps", value) if whole else reading.leave(key, "ftui logs every step")
    for key, path in (("eval_steps", "train.eval_steps"), ("save_steps", "train.save_steps")):
        if not _wanted(reading, key):
            continue
        value = reading.given[key]
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            reading.put(key, path, value)
        elif isinstance(value, float) and 0 < value < 1 and isinstance(limit, int) and limit > 0:
            reading.put(key, path, max(1, round(value * limit)), f"{value} of {limit} steps")
        else:
            reading.put(key, path, "auto", "a share of steps whose number isn't known here: about ten in a run")
    for key in _wanted(reading, "evals_per_epoch", "saves_per_epoch"):
        path = "train.eval_steps" if key.startswith("eval") else "train.save_steps"
        reading.put(key, path, "auto", "ftui counts in steps, not in epochs: about ten in a run")
    for key in _wanted(reading, "evaluation_strategy", "eval_strategy"):
        if str(reading.given[key]) in ("no", "False"):
            reading.put(key, "data.validation", 0, "nothing is evaluated")
        elif str(reading.given[key]) == "epoch":
            reading.put(key, "train.eval_steps", "auto", "ftui counts in steps, not in epochs: about ten in a run")
        else:
            reading.leave(key, "ftui evaluates by steps")


def _schedule(reading: Reading) -> None:
    """The schedule with its own arguments."""
    keys = _wanted(reading, "lr_scheduler_type", "lr_scheduler")
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
    if name == "warmup_stable_decay" and isinstance(limit, int) and limit > 0 and _number(extra.get("num_decay_steps")):
        falling = extra.pop("num_decay_steps")
        reading.put(holder, "train.decay_share", round(falling / limit, 6), f"{falling} of {limit} steps")
    if name in ("cosine_with_min_lr", "polynomial"):
        least = extra.pop("min_lr_rate", None)
        lowest = extra.pop("min_lr" if name.startswith("cosine") else "lr_end", None)
        if least is None and _number(lowest) and _number(rate) and rate:
            least = lowest / rate
        if least is not None:
            reading.put(holder, "train.min_rate", least)
        elif name == "cosine_with_min_lr":
            reading.refuse(keys[0], "its min_lr_rate isn't given")
    if extra:
        reading.refuse("lr_scheduler_kwargs", f"ftui has nothing for {', '.join(extra)} of this schedule")
    reading.done.add("lr_scheduler_kwargs")


def _optimizer(reading: Reading) -> None:
    for key in _wanted(reading, "optim", "optimizer"):
        reading.choose(key, "train.optimizer", words.OPTIMIZERS)


def _formats(reading: Reading) -> None:
    """Number formats of the model and of its quantization."""
    for key in _wanted(reading, "torch_dtype", "dtype", "bnb_4bit_compute_dtype", "compute_dtype"):
        reading.choose(key, "model.dtype", words.DTYPES)
    for key, dtype in (("bf16", "bfloat16"), ("pure_bf16", "bfloat16"), ("fp16", "float16"), ("float16", "float16"),
                       ("bfloat16", "bfloat16")):
        if not _wanted(reading, key):
            continue
        if reading.given[key] == "auto":
            reading.put(key, "model.dtype", "auto")
        elif reading.given[key]:
            reading.put(key, "model.dtype", dtype)
        else:
            reading.leave(key, "another format is asked for, or ftui chooses by the device")
    kind = str(reading.given.get("bnb_4bit_quant_type") or reading.given.get("quantization_type") or "nf4").lower()
    named = _wanted(reading, "bnb_4bit_quant_type", "quantization_type")
    reading.done |= set(named)
    for key in _wanted(reading, "load_in_4bit", "load_in_8bit", "quantization_bit"):
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
    for key in _wanted(reading, "attn_implementation", "flash_attn", "flash_attention", "use_flash_attention_2",
                       "sdp_attention"):
        if reading.given[key] is False:
            reading.leave(key, "it asks for nothing")
        elif key == "sdp_attention":
            reading.put(key, "model.attention", "sdpa")
        else:
            reading.choose(key, "model.attention", words.ATTENTION)


def _adapter(reading: Reading) -> None:
    """Which adapter, and on what."""
    kinds = {kind: kind for kind in ADAPTERS} | {"full": "none", "qlora": "lora"}
    for key in _wanted(reading, "finetuning_type", "adapter", "peft_type"):
        reading.choose(key, "adapter.kind", kinds)
    for key in _wanted(reading, "use_peft", "use_lora"):
        reading.put(key, "adapter.kind", "lora" if reading.given[key] else "none")
    if str(reading.given.get("adapter")).lower() == "qlora" and "model.quantization" not in reading.values:
        reading.refuse("adapter", "QLoRA needs load_in_4bit: true beside it")
    for key in _wanted(reading, "lora_target_linear"):
        if reading.given[key]:
            reading.put(key, "adapter.targets", "all-linear")
        else:
            reading.leave(key, "the modules are named")
    for key in _wanted(reading, "lora_target", "lora_target_modules", "target_modules", "lora_modules"):
        value = reading.given[key]
        if value in ("all", "all-linear", ["all"], ["all-linear"]):
            reading.put(key, "adapter.targets", "all-linear")
        else:
            reading.put(key, "adapter.targets", _list(value))
    for key in _wanted(reading, "lora_modules_to_save", "modules_to_save", "additional_target"):
        reading.put(key, "adapter.modules_to_save", _list(reading.given[key]))
    for key in _wanted(reading, "loraplus_lr_ratio"):
        reading.put(key, "adapter.update", "plus")
        reading.put(key, "adapter.plus_ratio", reading.given[key])


def _list(value: Any) -> Any:
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts] if isinstance(parts, list) else value


def _objective(reading: Reading) -> None:
    """Which objective, and which tokens it trains."""
    for key in _wanted(reading, "stage", "rl"):
        reading.choose(key, "objective.kind", words.STAGES)
        if str(reading.given[key]).lower() == "pt":
            reading.put(key, "objective.loss_on", "all", "plain text")
        if str(reading.given[key]).lower() == "simpo":
            reading.put(key, "objective.loss_type", "simpo")
    kind = reading.values.get("objective.kind", "sft")
    fields = OBJECTIVES[kind].options.model_fields
    for key in _wanted(reading, "pref_loss", "loss_type", "beta", "dpo_beta"):
        name = "beta" if key.endswith("beta") else "loss_type"
        if key == "pref_loss" and str(reading.given[key]) in ("orpo", "simpo"):
            reading.values.pop("objective.kind", None)
            reading.put(key, "objective.kind", words.STAGES[str(reading.given[key])])
            if reading.given[key] == "simpo":
                reading.put(key, "objective.loss_type", "simpo")
        elif name in fields:
            reading.put(key, f"objective.{name}", reading.given[key])
        else:
            reading.refuse(key, f"the objective {kind} has none; name the objective first (stage or rl)")
    spans = {"train_on_inputs": "all", "train_on_prompt": "all", "assistant_only_loss": "assistant",
             "completion_only_loss": "completion", "mask_history": "completion"}
    for key, span in spans.items():
        if not _wanted(reading, key):
            continue
        if reading.given[key] is True:
            reading.put(key, "objective.loss_on", span)
        elif key == "train_on_inputs":
            reading.put(key, "objective.loss_on", "assistant", "every answer, no question")
        else:
            reading.leave(key, "it asks for nothing")


def _data(reading: Reading) -> None:
    """Sources, held-out part, padding and template."""
    for key in _wanted(reading, "dataset", "eval_dataset"):
        if key == "dataset" and "/" in str(reading.given[key]):
            reading.put(key, "data.sources", [{"path": part} for part in _list(str(reading.given[key]))])
        else:
            reading.leave(key, "it names entries of dataset_info.json; give their files by --data")
    for key in _wanted(reading, "dataset_name", "dataset_path", "data_path", "train_file"):
        source = {"path": reading.given[key]}
        for beside, name in (("dataset_train_split", "split"), ("dataset_split", "split"), ("max_samples", "limit"),
                             ("max_train_samples", "limit")):
            if _wanted(reading, beside):
                source[name] = reading.given[beside]
                reading.done.add(beside)
        reading.put(key, "data.sources", [source])
    for key in _wanted(reading, "max_samples", "max_train_samples"):
        reading.leave(key, "write it as limit beside the source")
    for key in _wanted(reading, "datasets"):
        if sources := _sources(reading, key):
            reading.put(key, "data.sources", sources)
    for key in _wanted(reading, "val_size", "val_set_size", "test_size", "eval_dataset_size"):
        reading.put(key, "data.validation", reading.given[key])
    for key in _wanted(reading, "validation_file", "test_datasets"):
        reading.put(key, "data.validation", reading.given[key]) if isinstance(reading.given[key], str) else (
            reading.refuse(key, "ftui takes one file for validation")
        )
    for key in _wanted(reading, "padding_free", "neat_packing"):
        if not reading.given[key]:
            reading.leave(key, "it asks for nothing")
        elif key == "padding_free":
            reading.put(key, "data.padding", "free")
        else:
            reading.put(key, "data.packing", True, "rows never see each other")
    for key in _wanted(reading, "pad_to_sequence_len"):
        if reading.given[key] is True and not reading.values.get("data.packing", reading.given.get("sample_packing")):
            reading.put(key, "data.padding", "max_length")
        else:
            reading.leave(key, "packed rows are as long as they are" if reading.given[key] else "it asks for nothing")
    for key in _wanted(reading, "template", "chat_template"):
        word = str(reading.given[key]).lower()
        if word in words.TEMPLATES:
            reading.put(key, "data.template", words.TEMPLATES[word])
        elif "{" in word:
            reading.refuse(key, "write the Jinja template into a file, and data.template: FILE")
        else:
            reading.put(key, "data.template", "auto", "the model's own, which this should be; see ftui data show")
    for key in _wanted(reading, "train_sampling_strategy"):
        if reading.given[key] == "group_by_length":
            reading.put(key, "train.group_by_length", True)
        elif reading.given[key] == "random":
            reading.leave(key, "rows are shuffled anyhow")
        else:
            reading.refuse(key, "ftui has no such order")


def _sources(reading: Reading, key: str) -> list[dict[str, Any]] | None:
    """axolotl's list of datasets."""
    found: list[dict[str, Any]] = []
    for entry in reading.given[key] if isinstance(reading.given[key], list) else [reading.given[key]]:
        entry = {"path": entry} if isinstance(entry, str) else dict(entry) if isinstance(entry, Mapping) else {}
        path, kind = entry.pop("path", None), str(entry.pop("type", "chat_template"))
        if "data_files" in entry:
            files = entry.pop("data_files")
            path = files[0] if isinstance(files, list) and len(files) == 1 else files
        entry.pop("ds_type", None)
        source = {"path": path, **{name: entry.pop(name) for name in ("split", "revision") if entry.get(name)}}
        if kind not in words.FORMATS or not isinstance(path, str):
            reading.refuse(key, f"ftui can't read the type {kind}; it knows {', '.join(words.FORMATS)}")
            return None
        if any(entry.values()):
            reading.refuse(key, f"ftui has nothing for {', '.join(entry)} of a dataset")
            return None
        found.append(source | ({} if words.FORMATS[kind] == "auto" else {"format": words.FORMATS[kind]}))
    return found


def _tracking(reading: Reading) -> None:
    for key in _wanted(reading, "report_to"):
        asked = _list(reading.given[key]) or []
        names = [name for name in asked if name != "none"] if isinstance(asked, list) else [str(asked)]
        if not set(names) <= {"wandb", "tensorboard"}:
            reading.refuse(key, "ftui tracks by wandb and tensorboard")
            continue
        if "tensorboard" in names:
            reading.put(key, "tracking.tensorboard", True)
        if "wandb" in names and not reading.given.get("wandb_project"):
            reading.put(key, "tracking.wandb", "huggingface", "transformers' own project")
        reading.done.add(key)
        if not names:
            reading.leave(key, "nothing is tracked unless it is asked for")
    for key in _wanted(reading, "metric_for_best_model"):
        reading.put(key, "evaluate.best_by", str(reading.given[key]).removeprefix("eval_"))


def _hub(reading: Reading) -> None:
    for key in _wanted(reading, "push_to_hub"):
        if reading.given[key] and not reading.given.get("hub_model_id"):
            reading.refuse(key, "add hub_model_id: owner/name, to say where to")
        else:
            reading.leave(key, "hub_model_id says so" if reading.given[key] else "it asks for nothing")
            if not reading.given[key] and _wanted(reading, "hub_model_id"):
                reading.leave("hub_model_id", "push_to_hub is off")


def _bias(reading: Reading) -> None:
    for key in _wanted(reading, "bias"):
        if reading.given[key] == "none":
            reading.leave(key, "it asks for nothing")
        else:
            reading.refuse(key, "ftui trains no biases beside an adapter; see adapter.kind bitfit")


def _machine(reading: Reading) -> None:
    """Several devices, and kernels."""
    for key in _wanted(reading, "deepspeed", "fsdp", "fsdp_config", "fsdp_transformer_layer_cls_to_wrap"):
        if reading.given[key]:
            reading.refuse(key, "ftui trains on one GPU; see compute.strategy for what can be planned")
        else:
            reading.leave(key, "it asks for nothing")
    for key in _wanted(reading, "use_liger_kernel", "enable_liger_kernel", "liger_fused_linear_cross_entropy"):
        if reading.given[key]:
            reading.put(key, "train.loss", "liger")
        else:
            reading.leave(key, "it asks for nothing")
    for key in _wanted(reading, "special_tokens", "tokens"):
        reading.refuse(key, "ftui adds no tokens to a vocabulary; adapter.tokens trains those that are there")
    for key in _wanted(reading, "use_cpu", "no_cuda"):
        if reading.given[key]:
            reading.put(key, "compute.gpus", 0)
        else:
            reading.leave(key, "a GPU is used where there is one")


RULES: tuple[Callable[[Reading], None], ...] = (
    _batches, _steps, _schedule, _optimizer, _formats, _adapter, _objective, _data, _tracking, _hub, _bias, _machine,
)
BY_RULE = (
    "per_device_train_batch_size", "per_gpu_train_batch_size", "per_device_batch_size", "micro_batch_size",
    "train_batch_size", "batch_size", "gradient_accumulation_steps", "gradient_accumulation", "max_steps",
    "warmup_ratio", "warmup_steps", "logging_steps", "eval_steps", "save_steps", "evals_per_epoch", "saves_per_epoch",
    "evaluation_strategy", "eval_strategy", "lr_scheduler_type", "lr_scheduler", "lr_scheduler_kwargs", "optim",
    "optimizer", "torch_dtype", "dtype", "bnb_4bit_compute_dtype", "compute_dtype", "bf16", "pure_bf16", "fp16",
    "float16", "bfloat16", "bnb_4bit_quant_type", "quantization_type", "load_in_4bit", "load_in_8bit",
    "quantization_bit", "attn_implementation", "flash_attn", "flash_attention", "use_flash_attention_2",
    "sdp_attention", "finetuning_type", "peft_type", "use_peft", "use_lora", "lora_target_linear", "lora_target",
    "lora_target_modules", "target_modules", "lora_modules", "lora_modules_to_save", "modules_to_save",
    "additional_target", "loraplus_lr_ratio", "stage", "rl", "pref_loss", "loss_type", "beta", "dpo_beta",
    "train_on_inputs", "train_on_prompt", "assistant_only_loss", "completion_only_loss", "mask_history", "dataset",
    "eval_dataset", "dataset_name", "dataset_path", "data_path", "train_file", "dataset_train_split", "dataset_split",
    "max_samples", "max_train_samples", "datasets", "val_size", "val_set_size", "test_size", "eval_dataset_size",
    "validation_file", "test_datasets", "padding_free", "neat_packing", "template", "chat_template",
    "train_sampling_strategy", "report_to", "metric_for_best_model", "deepspeed", "fsdp", "fsdp_config",
    "fsdp_transformer_layer_cls_to_wrap", "use_liger_kernel", "enable_liger_kernel",
    "liger_fused_linear_cross_entropy", "special_tokens", "tokens", "use_cpu", "no_cuda",
    "push_to_hub", "bias", "pad_to_sequence_len",
)
"""Every key that a rule reads; `adapter`, a section of ftui's as well, marks no other tool."""
