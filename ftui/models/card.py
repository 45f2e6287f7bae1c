"""What stands beside the config: the chat template among the tokenizer's files, the licence in the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.models.config import read_json, read_text
from ftui.shallow_yaml import composer

TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json", "chat_template.json")
MOST_LETTERS = 1 << 18
MOST_LEVELS = 16
"""What a model card may say of itself in YAML: results of evaluations make some long."""
TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


def chat_template(folder: Path) -> tuple[str | None, bool]:
    """(the Jinja text or None, whether the folder can tell): the order is transformers' own.

    A file of its own wins over tokenizer_config.json; of several named templates the one called "default" counts.
    """
    known = any((folder / name).is_file() for name in TOKENIZER_FILES)
    own = folder / TEMPLATE_FILES[0]
    if own.is_file():
        return read_text(own), True
    for name in TEMPLATE_FILES[1:]:
        if (folder / name).is_file() and (text := _template(read_json(folder / name).get("chat_template"))):
            return text, True
    return None, known


def _template(stated: Any) -> str | None:
    if isinstance(stated, str):
        return stated or None
    if isinstance(stated, list):
        named = {
            entry["name"]: entry["template"] for entry in stated
            if isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("template"), str)
        }
        return named.get("default") or next(iter(named.values()), None)
    return None


def licence(folder: Path) -> str | None:
    """The licence that the model card's front matter states, None where there is no card or it can't be read."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    try:
        return licence_of(front_matter(read_text(card)))
    except BadInput:
        return None  # a card that can't be read says nothing about the licence; the model is described all the same


def front_matter(text: str) -> dict[str, Any]:
    """The YAML between the first two `---` lines of a model card, empty where there is none, it is broken, or it is
    more than a card says of itself: it comes from whoever made the model."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    lines = text.lstrip("﻿").splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    end = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    stated = "\n".join(lines[1:end])
    if end is None or len(stated) > MOST_LETTERS:
        return {}
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = composer(MOST_LEVELS, aliases=False)
    try:
        content = yaml.load(stated)
    except (YAMLError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def licence_of(card: dict[str, Any]) -> str | None:
    """The licence of a model card's data: its identifier, or its name where the identifier is "other"."""
    stated = card.get("license")
    if isinstance(stated, list):
        stated = stated[0] if stated else None
    if stated == "other" and isinstance(card.get("license_name"), str):
        return card["license_name"]
    return stated if isinstance(stated, str) and stated else None
