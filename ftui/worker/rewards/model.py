"""A trained reward model as a reward: the score that its head gives to a prompt and an answer."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.worker.rewards import Columns, Place, Score


def build(argument: str, place: Place) -> Score:
    """`argument` is the folder of a reward run (or of its result), or a hub id; loaded beside the policy in 16 bits on
    a GPU."""
    import torch

    model, tokenizer = load(argument, place)

    def score(completions: Sequence[str], columns: Columns) -> list[float | None]:
        rows = [_ids(tokenizer, prompt, text) for prompt, text in zip(columns["prompt"], completions, strict=True)]
        found: list[float | None] = []
        for start in range(0, len(rows), place.rows):
            padded = tokenizer.pad(
                {"input_ids": rows[start : start + place.rows]}, padding_side="right", return_tensors="pt"
            )
            with torch.inference_mode():
                found += model(**padded.to(place.device)).logits[:, 0].float().tolist()
        return found

    return score


def load(name: str, place: Place) -> tuple[Any, Any]:
    """(model with a head of one score, its tokenizer); BadInput where it is none or can't be loaded."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = Path(name).expanduser()
    folder = folder / "output" if (folder / "output").is_dir() else folder
    where = str(folder) if folder.is_dir() else name
    given: dict[str, Any] = {"num_labels": 1, "dtype": getattr(torch, place.dtype), "trust_remote_code": False}
    adapter = folder / "adapter_config.json"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            if adapter.is_file():
                from peft import PeftModel

                import ftui.tuners  # noqa: F401  # gives peft the kinds of adapter that it lacks

                base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
                model = AutoModelForSequenceClassification.from_pretrained(base, **given)
                model = PeftModel.from_pretrained(model, where)
            else:
                model = AutoModelForSequenceClassification.from_pretrained(where, **given)
            tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"The reward model {name} can't be loaded: {message}",
                       "Give the folder of a reward run's result, or a hub id.") from error  # fmt: skip
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model.to(place.device).eval().requires_grad_(False), tokenizer


def _ids(tokenizer: Any, prompt: Any, completion: str) -> list[int]:
    """The tokens of a prompt and its answer as the reward model's own template writes them."""
    answer = {"role": "assistant", "content": completion}
    if tokenizer.chat_template:
        found: Any = tokenizer.apply_chat_template([*prompt, answer], tokenize=True, return_dict=True)
        return list(found["input_ids"])
    text = "\n".join([*(message["content"] for message in prompt), completion])
    return list(tokenizer(text)["input_ids"])
