"""Keys of other tools whose meaning depends on their value, or on other keys: one function for each subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import foreign_words as words
from ftui.recipe.foreign_reading import Reading, listed, wanted
from ftui.recipe.foreign_training import batches, formats, optimizer, schedule, steps


def _adapter(reading: Reading) -> None:
    """Which adapter, and on what."""
    kinds = {kind: kind for kind in ADAPTERS} | {"full": "none", "qlora": "lora"}
    for key in wanted(reading, "finetuning_type", "adapter", "peft_type"):
        reading.choose(key, "adapter.kind", kinds)
    for key in wanted(reading, "use_peft", "use_lora"):
        reading.put(key, "adapter.kind", "lora" if reading.given[key] else "none")
    if str(reading.given.get("adapter")).lower() == "qlora" and "model.quantization" not in reading.values:
        reading.refuse("adapter", "QLoRA needs load_in_4bit: true beside it")
    for key in wanted(reading, "lora_target_linear"):
        if reading.given[key]:
            reading.put(key, "adapter.targets", "all-linear")
        else:
            reading.leave(key, "the modules are named")
    for key in wanted(reading, "lora_target", "lora_target_modules", "target_modules", "lora_modules"):
        value = reading.given[key]
        if value in ("all", "all-linear", ["all"], ["all-linear"]):
            reading.put(key, "adapter.targets", "all-linear")
        else:
            reading.put(key, "adapter.targets", listed(value))
    for key in wanted(reading, "lora_modules_to_save", "modules_to_save", "additional_target"):
        reading.put(key, "adapter.modules_to_save", listed(reading.given[key]))
    for key in wanted(reading, "loraplus_lr_ratio"):
        reading.put(key, "adapter.update", "plus")
        reading.put(key, "adapter.plus_ratio", reading.given[key])


def _objective(reading: Reading) -> None:
    """Which objective, and which tokens it trains."""
    for key in wanted(reading, "stage", "rl"):
        reading.choose(key, "objective.kind", words.STAGES)
        if str(reading.given[key]).lower() == "pt":
            reading.put(key, "objective.loss_on", "all", "plain text")
        if str(reading.given[key]).lower() == "simpo":
            reading.put(key, "objective.loss_type", "simpo")
    kind = reading.values.get("objective.kind", "sft")
    fields = OBJECTIVES[kind].options.model_fields
    for key in wanted(reading, "pref_loss", "loss_type", "beta", "dpo_beta"):
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
        if not wanted(reading, key):
            continue
        if reading.given[key] is True:
            reading.put(key, "objective.loss_on", span)
        elif key == "train_on_inputs":
            reading.put(key, "objective.loss_on", "assistant", "every answer, no question")
        else:
            reading.leave(key, "it asks for nothing")


def _data(reading: Reading) -> None:
    """Sources, held-out part, padding and template."""
    for key in wanted(reading, "dataset", "eval_dataset"):
        if key == "dataset" and "/" in str(reading.given[key]):
            reading.put(key, "data.sources", [{"path": part} for part in listed(str(reading.given[key]))])
        else:
            reading.leave(key, "it names entries of dataset_info.json; give their files by --data")
    for key in wanted(reading, "dataset_name", "dataset_path", "data_path", "train_file"):
        source = {"path": reading.given[key]}
        for beside, name in (("dataset_train_split", "split"), ("dataset_split", "split"), ("max_samples", "limit"),
                             ("max_train_samples", "limit")):
            if wanted(reading, beside):
                source[name] = reading.given[beside]
                reading.done.add(beside)
        reading.put(key, "data.sources", [source])
    for key in wanted(reading, "max_samples", "max_train_samples"):
        reading.leave(key, "write it as limit beside the source")
    for key in wanted(reading, "datasets"):
        if sources := _sources(reading, key):
            reading.put(key, "data.sources", sources)
    for key in wanted(reading, "val_size", "val_set_size", "test_size", "eval_dataset_size"):
        reading.put(key, "data.validation", reading.given[key])
    for key in wanted(reading, "validation_file", "test_datasets"):
        reading.put(key, "data.validation", reading.given[key]) if isinstance(reading.given[key], str) else (
            reading.refuse(key, "ftui takes one file for validation")
        )
    for key in wanted(reading, "padding_free", "neat_packing"):
        if not reading.given[key]:
            reading.leave(key, "it asks for nothing")
        elif key == "padding_free":
            reading.put(key, "data.padding", "free")
        else:
            reading.put(key, "data.packing", True, "rows never see each other")
    for key in wanted(reading, "pad_to_sequence_len"):
        if reading.given[key] is True and not reading.values.get("data.packing", reading.given.get("sample_packing")):
            reading.put(key, "data.padding", "max_length")
        else:
            reading.leave(key, "packed rows are as long as they are" if reading.given[key] else "it asks for nothing")
    for key in wanted(reading, "template", "chat_template"):
        word = str(reading.given[key]).lower()
        if word in words.TEMPLATES:
            reading.put(key, "data.template", words.TEMPLATES[word])
        elif "{" in word:
            reading.refuse(key, "write the Jinja template into a file, and data.template: FILE")
        else:
            reading.put(key, "data.template", "auto", "the model's own, which this should be; see ftui data show")
    for key in wanted(reading, "train_sampling_strategy"):
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
    for key in wanted(reading, "report_to"):
        asked = listed(reading.given[key]) or []
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
    for key in wanted(reading, "metric_for_best_model"):
        reading.put(key, "evaluate.best_by", str(reading.given[key]).removeprefix("eval_"))


def _hub(reading: Reading) -> None:
    for key in wanted(reading, "push_to_hub"):
        if reading.given[key] and not reading.given.get("hub_model_id"):
            reading.refuse(key, "add hub_model_id: owner/name, to say where to")
        else:
            reading.leave(key, "hub_model_id says so" if reading.given[key] else "it asks for nothing")
            if not reading.given[key] and wanted(reading, "hub_model_id"):
                reading.leave("hub_model_id", "push_to_hub is off")


def _bias(reading: Reading) -> None:
    for key in wanted(reading, "bias"):
        if reading.given[key] == "none":
            reading.leave(key, "it asks for nothing")
        else:
            reading.refuse(key, "ftui trains no biases beside an adapter; see adapter.kind bitfit")


def _machine(reading: Reading) -> None:
    """Several devices, and kernels."""
    for key in wanted(reading, "deepspeed", "fsdp", "fsdp_config", "fsdp_transformer_layer_cls_to_wrap"):
        if reading.given[key]:
            reading.refuse(key, "ftui trains on one GPU; see compute.strategy for what can be planned")
        else:
            reading.leave(key, "it asks for nothing")
    for key in wanted(reading, "use_liger_kernel", "enable_liger_kernel", "liger_fused_linear_cross_entropy"):
        if reading.given[key]:
            reading.put(key, "train.loss", "liger")
        else:
            reading.leave(key, "it asks for nothing")
    for key in wanted(reading, "special_tokens", "tokens"):
        reading.refuse(key, "ftui adds no tokens to a vocabulary; adapter.tokens trains those that are there")
    for key in wanted(reading, "use_cpu", "no_cuda"):
        if reading.given[key]:
            reading.put(key, "compute.gpus", 0)
        else:
            reading.leave(key, "a GPU is used where there is one")


RULES: tuple[Callable[[Reading], None], ...] = (
    batches, steps, schedule, optimizer, formats, _adapter, _objective, _data, _tracking, _hub, _bias, _machine,
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
