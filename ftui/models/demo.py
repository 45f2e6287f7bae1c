"""The embedded demo model: a tiny Llama, made by code on first use, so that everything works with no hub at all.

This side writes the folder (configuration, tokenizer, licence) in a second or so and without torch; the weights are
trained by the `demo` job (`ftui/worker/jobs/demo.py`), or by the first run that needs them.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftui import paths
from ftui.files import make_folder
from ftui.models import demo_corpus

REF = "demo"
"""What a recipe's `model.base` says for this model."""

VERSION = 2
"""Part of the folder's name: another corpus, shape or schedule is another model."""

VOCABULARY = 1280
CONTEXT = 1024
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END, START, STOP)
WEIGHTS = "model.safetensors"

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": CONTEXT,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "initializer_range": 0.05,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "dtype": "float32",
}

README = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# ftui demo

A Llama of about a million parameters that ftui makes and trains on this machine, from text written for it, so that
its whole way can be tried with no GPU, no hub and no download. It knows some two hundred simple facts and a few tales,
and nothing else. It is a demonstration, not a language model to use. Licence: Apache-2.0.
"""


def folder() -> Path:
    """Where the demo model lies, there or not."""
    return paths.models_dir() / f"demo-{VERSION}"


def is_complete() -> bool:
    """Whether the folder is there with its weights."""
    return (folder() / WEIGHTS).is_file() and (folder() / "config.json").is_file()


def ensure_folder() -> Path:
    """The folder with configuration and tokenizer, written on the first call; the weights may still be missing.

    Safe against others that do the same at the same moment: the folder appears whole, by a rename.
    """
    target = folder()
    if (target / "config.json").is_file():
        return target
    make_folder(target.parent)
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".demo-"))
    try:
        for name, content in _files().items():
            (aside / name).write_text(content, encoding="utf-8")
        aside.chmod(0o755)
        try:
            aside.rename(target)
        except OSError:
            # Another process was first; what it wrote is the same, to the byte.
            if not (target / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def text() -> Iterator[str]:
    """What the tokenizer is trained on: a few rounds of the chats, some tales, and the demo's data."""
    for messages in itertools.islice(demo_corpus.chats(seed=1), 1200):
        yield render(messages)
    yield from itertools.islice(demo_corpus.tales(seed=1), 200)
    for row in demo_corpus.demo_rows():
        yield render(row["messages"])


def render(messages: demo_corpus.Messages) -> str:
    """A conversation as text, as `CHAT_TEMPLATE` writes it."""
    return "".join(f"{START}{turn['role']}\n{turn['content']}{STOP}\n" for turn in messages)


def data_path() -> Path:
    """The bundled dataset that goes with the model: it teaches the answers of a pirate."""
    return Path(__file__).resolve().parents[1] / "data" / "demo.jsonl"


def held_out_prompts(count: int = 3) -> tuple[str, ...]:
    """Questions whose answers are not in the demo's data, spread over the topics."""
    found = demo_corpus.held_out_facts()
    return tuple(found[index * len(found) // count].questions[0] for index in range(count))


def _files() -> dict[str, str]:
    return {
        "config.json": json.dumps(CONFIG, indent=2) + "\n",
        "generation_config.json": json.dumps(
            {"eos_token_id": [SPECIAL.index(STOP), SPECIAL.index(END)], "pad_token_id": 0, "do_sample": False}, indent=2
        ) + "\n",
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": CONTEXT,
                "eos_token": STOP,
                "pad_token": END,
                "additional_special_tokens": [START],
                "clean_up_tokenization_spaces": False,
                "chat_template": CHAT_TEMPLATE,
            },
            indent=2,
        ) + "\n",
        "README.md": README,
    }


def _tokenizer() -> str:
    """tokenizer.json: byte-level BPE, so that any text can be written with it, if at length."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(text(), trainer=trainer)
    return tokenizer.to_str(pretty=False)
