"""The words of other tools' configurations, as data: what each key and choice is here, and what ftui has no need of.

They are transformers' TrainingArguments, trl's and peft's configurations, LLaMA-Factory's and axolotl's, today's and
those of 2023.
"""

from __future__ import annotations

SAME: dict[str, str] = {
    "adam_beta1": "train.beta1",
    "adam_beta2": "train.beta2",
    "adam_epsilon": "train.epsilon",
    "base_model": "model.base",
    "block_size": "data.max_length",
    "bnb_4bit_use_double_quant": "model.double_quantization",
    "cutoff_len": "data.max_length",
    "data_seed": "train.seed",
    "dataloader_num_workers": "compute.data_workers",
    "double_quantization": "model.double_quantization",
    "early_stopping_patience": "evaluate.patience",
    "eval_on_start": "evaluate.first",
    "full_determinism": "train.deterministic",
    "gradient_checkpointing": "train.checkpointing",
    "group_by_length": "train.group_by_length",
    "hub_model_id": "tracking.hub",
    "hub_private_repo": "tracking.hub_private",
    "label_smoothing_factor": "objective.label_smoothing",
    "learning_rate": "train.learning_rate",
    "lora_alpha": "adapter.alpha",
    "lora_bias": "adapter.bias",
    "lora_dropout": "adapter.dropout",
    "lora_r": "adapter.rank",
    "lora_rank": "adapter.rank",
    "lr": "train.learning_rate",
    "max_grad_norm": "train.max_grad_norm",
    "max_length": "data.max_length",
    "max_seq_length": "data.max_length",
    "model_id": "model.base",
    "model_max_length": "data.max_length",
    "model_name": "model.base",
    "model_name_or_path": "model.base",
    "model_revision": "model.revision",
    "neftune_noise_alpha": "train.neftune",
    "num_epochs": "train.epochs",
    "num_train_epochs": "train.epochs",
    "packing": "data.packing",
    "peft_use_dora": "adapter.dora",
    "peft_use_rslora": "adapter.rslora",
    "pref_beta": "objective.beta",
    "pretrained_model_name_or_path": "model.base",
    "r": "adapter.rank",
    "recompute_num_layers": "train.checkpoint_layers",
    "revision_of_model": "model.revision",
    "rl_beta": "objective.beta",
    "run_name": "name",
    "sample_packing": "data.packing",
    "save_total_limit": "train.keep_checkpoints",
    "seed": "train.seed",
    "sequence_len": "data.max_length",
    "tf32": "train.tf32",
    "torch_compile": "train.compile",
    "use_dora": "adapter.dora",
    "use_rslora": "adapter.rslora",
    "wandb_project": "tracking.wandb",
    "weight_decay": "train.weight_decay",
}
"""Another name for the same thing, with the same value."""

OPTIMIZERS: dict[str, str] = {
    "adamw_8bit": "adamw_8bit", "adamw_bnb_8bit": "adamw_8bit", "adamw_hf": "adamw", "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw", "adafactor": "adafactor", "ademamix": "ademamix", "ademamix_8bit": "ademamix_8bit",
    "galore_adamw": "galore", "lion_32bit": "lion", "lion_8bit": "lion_8bit", "muon": "muon",
    "paged_adamw_32bit": "paged_adamw", "paged_adamw_8bit": "paged_adamw_8bit", "paged_lion_8bit": "paged_lion_8bit",
    "rmsprop": "rmsprop", "schedule_free_adamw": "schedule_free", "sgd": "sgd",
}
SCHEDULES: dict[str, str] = {
    "constant": "constant", "constant_with_warmup": "constant_with_warmup", "cosine": "cosine",
    "cosine_with_min_lr": "cosine", "cosine_with_restarts": "restarts", "inverse_sqrt": "inverse_sqrt",
    "linear": "linear", "polynomial": "polynomial", "warmup_stable_decay": "wsd",
}
DTYPES: dict[str, str] = {
    "auto": "auto", "bf16": "bfloat16", "bfloat16": "bfloat16", "float": "float32", "float16": "float16",
    "float32": "float32", "fp16": "float16", "fp32": "float32", "half": "float16", "torch.bfloat16": "bfloat16",
    "torch.float16": "float16", "torch.float32": "float32",
}
ATTENTION: dict[str, str] = {
    "auto": "auto", "disabled": "eager", "eager": "eager", "fa2": "flash_attention_2",
    "flash_attention_2": "flash_attention_2", "sdpa": "sdpa", "true": "flash_attention_2",
}
STAGES: dict[str, str] = {
    "dpo": "dpo", "grpo": "grpo", "kto": "kto", "orpo": "orpo", "ppo": "ppo", "pt": "sft", "rm": "reward",
    "reward": "reward", "rloo": "rloo", "sft": "sft", "simpo": "cpo",
}
"""What LLaMA-Factory's stage and axolotl's rl call an objective."""
FORMATS: dict[str, str] = {
    "alpaca": "alpaca", "chat_template": "auto", "chat_template.default": "auto", "completion": "text",
    "pretrain": "text", "sharegpt": "sharegpt",
}
"""axolotl's types of datasets."""
TEMPLATES: dict[str, str] = {"alpaca": "alpaca", "chatml": "chatml", "tokenizer_default": "auto"}
"""Those chat templates that are the same under the same name."""

LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(
        ("output_dir", "overwrite_output_dir", "logging_dir", "dataset_prepared_path", "cache_dir",
         "overwrite_cache", "resume_from_checkpoint", "auto_resume_from_checkpoints", "hub_strategy", "plot_loss"),
        "ftui keeps each run whole in a folder of its own, and resumes from there",
    ),
    **dict.fromkeys(
        ("do_train", "do_eval", "do_predict", "load_best_model_at_end", "greater_is_better", "logging_strategy",
         "logging_first_step", "prediction_loss_only", "save_safetensors", "save_only_model", "save_first_step",
         "per_device_eval_batch_size", "eval_batch_size", "per_gpu_eval_batch_size", "eval_accumulation_steps",
         "include_tokens_per_second", "include_num_input_tokens_seen", "disable_tqdm",
         "log_level", "remove_unused_columns", "local_rank", "ddp_timeout", "ddp_find_unused_parameters",
         "use_reentrant", "gradient_checkpointing_kwargs", "skip_prepare_dataset", "dataset_kwargs", "use_cache",
         "eval_sample_packing", "strict"),
        "ftui does it in its own way, whatever stands there",
    ),
    **dict.fromkeys(
        ("preprocessing_num_workers", "dataset_num_proc", "dataset_processes",
         "dataloader_pin_memory", "dataloader_prefetch_factor", "streaming", "buffer_size", "low_cpu_mem_usage",
         "device_map", "xformers_attention", "auto_find_batch_size"),
        "it changes how fast something is read, and ftui chooses that itself",
    ),
    **dict.fromkeys(
        ("model_type", "tokenizer_type", "tokenizer_name", "is_llama_derived_model", "is_mistral_derived_model",
         "is_falcon_derived_model", "use_fast_tokenizer", "use_fast", "task_type", "dataset_text_field",
         "use_auth_token", "hub_token",
         "dataset_dir", "dataset_info", "inference_mode", "base_model_config"),
        "ftui reads it off the model or the data",
    ),
    "trust_remote_code": "ftui runs a model's own code only by its hash, model.trust_code, and with your consent",
    **dict.fromkeys(
        ("wandb_entity", "wandb_watch", "wandb_name", "wandb_run_id", "wandb_log_model", "debug", "early_stopping",
         "save_strategy", "eval_delay", "warmup_bias_lr"),
        "ftui has no such setting, and the trained weights don't depend on it",
    ),
}
"""What need not be said here, with the reason."""
