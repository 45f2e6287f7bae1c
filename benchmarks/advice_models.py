"""Two small base models for `advice.py`: a tokenizer and a decoder each, pre-trained here on real text in minutes.

The text is what stands in ../shared/data beside the rows that the benchmark tunes on: web pages, articles of an
encyclopaedia, sums with their solutions, and answers of chats.  The models know some English, and nothing of the
tasks' formats.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, Any]] = {
    "llama-1M": {
        "family": "llama", "hidden": 128, "mlp": 384, "layers": 4, "heads": 4, "kv_heads": 4, "vocab": 2048,
        "minutes": 3,
    },
    "qwen3-0.5M": {
        "family": "qwen3", "hidden": 96, "mlp": 256, "layers": 3, "heads": 4, "kv_heads": 2, "vocab": 2048,
        "minutes": 2,
    },
}
CONTEXT, WINDOW, BATCH = 512, 192, 12
LEARNING_RATE, SEED = 3e-3, 0
TUNED_ROWS = 1000
"""Rows at the head of each file that the benchmark may tune on, and that no model is pre-trained on."""
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def ensure(name: str, folder: Path, shared: Path) -> Path:
    """The folder of the model `name` under `folder`, pre-trained on first use."""
    target = folder / name
    if (target / "model.safetensors").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    texts = list(pretraining_text(shared))
    _make_tokenizer(texts, SIZES[name]["vocab"], target)
    _pretrain(name, texts, target)
    return target


def pretraining_text(shared: Path) -> Iterator[str]:
    """Documents of the shared data that are not among the rows to be tuned on."""
    for line in (shared / "llamafactory/c4_demo.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["text"]
    yield from (shared / "llamafactory/wiki_demo.txt").read_text(encoding="utf-8").split("\n")
    for line in (shared / "gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[TUNED_ROWS:]:
        row = json.loads(line)
        yield f"{row['question']}\n{row['answer']}"
    for row in json.loads((shared / "llamafactory/dpo_en_demo.json").read_text(encoding="utf-8")):
        yield row["chosen"]["value"]
    for row in json.loads((shared / "llamafactory/kto_en_demo.json").read_text(encoding="utf-8")):
        yield row["messages"][-1]["content"]


def _make_tokenizer(texts: list[str], vocabulary: int, folder: Path) -> None:
    """A byte-level BPE of `vocabulary` entries in `folder`, with ChatML's marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[END, START, STOP], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    ))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": STOP, "pad_token": END,
        "model_max_length": CONTEXT, "chat_template": TEMPLATE,
    }), encoding="utf-8")


def _pretrain(name: str, texts: list[str], folder: Path) -> None:
    """Train on random windows of the text for so many minutes of CPU time, whatever the machine; then save."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = SIZES[name]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    stream = torch.tensor([token for text in _shuffled(texts) for token in (*tokenizer.encode(text).ids, 0)])
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(
        sizes["family"], vocab_size=sizes["vocab"], hidden_size=sizes["hidden"], intermediate_size=sizes["mlp"],
        num_hidden_layers=sizes["layers"], num_attention_heads=sizes["heads"], num_key_value_heads=sizes["kv_heads"],
        head_dim=sizes["hidden"] // sizes["heads"], max_position_embeddings=CONTEXT,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )).float()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    generator = torch.Generator().manual_seed(SEED)
    began, limit, step, loss = time.process_time(), sizes["minutes"] * 60.0, 0, torch.tensor(math.nan)
    while (spent := time.process_time() - began) < limit:
        # The schedule follows the time spent, so that it ends where the budget does.
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 50) * max(0.05, math.cos(math.pi / 2 * spent / limit))
        starts = torch.randint(len(stream) - WINDOW, (BATCH,), generator=generator)
        batch = torch.stack([stream[start : start + WINDOW] for start in starts.tolist()])
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step % 100 == 0:
            print(f"{name}: {step} steps, {spent:.0f} of {limit:.0f} s, loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    about: dict[str, Any] = {
        "parameters": model.num_parameters(), "steps": step, "tokens": step * BATCH * WINDOW,
        "corpus_tokens": len(stream), "loss": round(loss.item(), 4),
    }
    (folder / "pretraining.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _shuffled(texts: list[str]) -> list[str]:
    texts = list(texts)
    random.Random(SEED).shuffle(texts)
    return texts
