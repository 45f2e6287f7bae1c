"""Names that other tools give to what the recipe calls otherwise, so that an unknown key can be answered by name.

They are those of transformers' TrainingArguments, trl's SFTConfig, peft's LoraConfig, bitsandbytes, LLaMA-Factory and
axolotl, today's and those of 2023.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ELSEWHERE: dict[str, str] = {
    "adam8bit": "train.optimizer",
    "attn_implementation": "model.attention",
    "base_model": "model.base",
    "batch_size": "train.effective_batch",
    "bf16": "model.dtype",
    "bnb_4bit_compute_dtype": "model.dtype",
    "bnb_4bit_quant_type": "model.quantization",
    "bnb_4bit_use_double_quant": "model.double_quantization",
    "chat_template": "data.template",
    "completion_only_loss": "objective.loss_on",
    "assistant_only_loss": "objective.loss_on",
    "train_on_inputs": "objective.loss_on",
    "context_length": "data.max_length",
    "cutoff_len": "data.max_length",
    "dataset": "data.sources",
    "dataset_name": "data.sources",
    "dataset_path": "data.sources",
    "datasets": "data.sources",
    "data_path": "data.sources",
    "double_quantization": "model.double_quantization",
    "early_stopping_patience": "evaluate.patience",
    "eval_dataset_size": "data.validation",
    "val_size": "data.validation",
    "val_set_size": "data.validation",
    "test_size": "data.validation",
    "evaluation_strategy": "train.eval_steps",
    "eval_strategy": "train.eval_steps",
    "finetuning_type": "adapter.kind",
    "flash_attention": "model.attention",
    "flash_attn": "model.attention",
    "use_flash_attention_2": "model.attention",
    "fp16": "model.dtype",
    "generation_max_length": "evaluate.max_new_tokens",
    "gradient_accumulation": "train.effective_batch",
    "gradient_accumulation_steps": "train.effective_batch",
    "gradient_checkpointing": "train.checkpointing",
    "activation_checkpointing": "train.checkpointing",
    "recompute_num_layers": "train.checkpoint_layers",
    "gradient_clipping": "train.max_grad_norm",
    "instruction_template": "data.template",
    "load_in_4bit": "model.quantization",
    "load_in_8bit": "model.quantization",
    "quantization_bit": "model.quantization",
    "lora_alpha": "adapter.alpha",
    "lora_dropout": "adapter.dropout",
    "lora_r": "adapter.rank",
    "lora_rank": "adapter.rank",
    "lora_target": "adapter.targets",
    "lora_target_modules": "adapter.targets",
    "lora_modules": "adapter.targets",
    "target_modules": "adapter.targets",
    "r": "adapter.rank",
    "additional_target": "adapter.modules_to_save",
    "init_lora_weights": "adapter.init",
    "layers_to_transform": "adapter.layers",
    "peft_layers_to_transform": "adapter.layers",
    "lora_bias": "adapter.bias",
    "lora_modules_to_save": "adapter.modules_to_save",
    "loraplus_lr_ratio": "adapter.plus_ratio",
    "qalora_group_size": "adapter.qalora_group",
    "target_parameters": "adapter.parameters",
    "trainable_token_indices": "adapter.tokens",
    "use_dora": "adapter.dora",
    "use_rslora": "adapter.rslora",
    "lr": "train.learning_rate",
    "lr_scheduler": "train.schedule",
    "lr_scheduler_type": "train.schedule",
    "max_len": "data.max_length",
    "max_seq_len": "data.max_length",
    "max_seq_length": "data.max_length",
    "model_max_length": "data.max_length",
    "sequence_len": "data.max_length",
    "seq_length": "data.max_length",
    "block_size": "data.max_length",
    "max_samples": "data.sources[].limit",
    "micro_batch_size": "train.micro_batch",
    "per_device_batch_size": "train.micro_batch",
    "per_device_train_batch_size": "train.micro_batch",
    "per_device_eval_batch_size": "evaluate.batch",
    "per_gpu_train_batch_size": "train.micro_batch",
    "model_id": "model.base",
    "model_name": "model.base",
    "model_name_or_path": "model.base",
    "pretrained_model_name_or_path": "model.base",
    "neftune_noise_alpha": "train.neftune",
    "num_epochs": "train.epochs",
    "num_train_epochs": "train.epochs",
    "optim": "train.optimizer",
    "sample_packing": "data.packing",
    "save_total_limit": "train.keep_checkpoints",
    "quantization_type": "model.quantization",
    "report_to": "tracking.wandb",
    "wandb_project": "tracking.wandb",
    "torch_dtype": "model.dtype",
    "precision": "model.dtype",
    "total_batch_size": "train.effective_batch",
    "global_batch_size": "train.effective_batch",
    "train_batch_size": "train.effective_batch",
    "warmup_ratio": "train.warmup",
    "warmup_steps": "train.warmup",
    "stage": "objective.kind",
    "task": "goal.task",
    "template": "data.template",
}
"""Name elsewhere -> dotted path here."""

LATER = {
    "gates": "is reserved for conditions that a result must meet; this version of ftui has none",
}
"""Sections that a later version will know."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, None if none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def meant(path: str, known: Iterable[str]) -> str:
    """One sentence on what the unknown key `path` was probably meant to be: another tool's name, or a near one."""
    known = tuple(known)
    name = path.rsplit(".", 1)[-1]
    plain = name.lower().replace("-", "_")
    if (here := ELSEWHERE.get(plain)) and here != path:
        return f"that is {here} here"
    by_name: dict[str, list[str]] = {}
    for candidate in known:
        by_name.setdefault(candidate.rsplit(".", 1)[-1], []).append(candidate)
    if places := by_name.get(plain):
        return f"that is {' or '.join(places)} here"
    section = path.rpartition(".")[0]
    if section:
        beside = [candidate for candidate in known if candidate.rpartition(".")[0] == section]
        if near := _within(section, plain, beside):
            return f"the nearest is {near}"
        if (near := nearest(plain, by_name, 0.75)) is not None:
            return f"the nearest is {' or '.join(by_name[near])}"
        if beside:
            return f"{section} has {', '.join(entry.rsplit('.', 1)[-1] for entry in beside)}"
    if near := nearest(plain, by_name, 0.7):
        return f"the nearest is {' or '.join(by_name[near])}"
    near = nearest(path, known)
    return f"the nearest is {near}" if near else "`ftui recipe schema` lists all keys"


def _within(section: str, name: str, beside: Iterable[str]) -> str | None:
    near = nearest(name, [entry.removeprefix(f"{section}.") for entry in beside])
    return f"{section}.{near}" if near else None
