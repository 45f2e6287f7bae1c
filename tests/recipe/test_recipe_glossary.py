"""The glossary behind `?`."""

from __future__ import annotations

import pytest

from ftui.glossary import TERMS, Term, look_up, sentences
from ftui.recipe import source_settings, walk_all


@pytest.mark.parametrize("term", TERMS, ids=[term.name for term in TERMS])
def test_a_term_has_two_sentences_and_a_source(term: Term) -> None:
    assert len(sentences(term.text)) == 2, sentences(term.text)
    assert term.text.endswith(".")
    assert len(term.text) < 320
    assert term.source.startswith("https://")


def test_every_term_of_a_setting_is_explained() -> None:
    named = {entry.term for entry in (*walk_all(), *source_settings()) if entry.term}
    assert {term for term in named if look_up(term) is None} == set()


def test_no_two_terms_share_a_name() -> None:
    names = [name.casefold() for term in TERMS for name in (term.name, *term.also)]
    assert len(names) == len(set(names))


def test_terms_are_found_whatever_their_spelling() -> None:
    for spelling in ("Micro batch", "micro-batches"[:-2], "MICROBATCH", "micro_batch"):
        assert look_up(spelling).name == "micro-batch"
    assert look_up("epochs").name == "epoch"
    assert look_up("LORA").name == "LoRA"
    assert look_up("bfloat16").name == "bf16"
    assert look_up("nothing of the kind") is None
    assert look_up("") is None


def test_the_words_of_the_screens_are_explained() -> None:
    for word in (
        "GiB", "VRAM", "safetensors", "checkpoint", "step", "loss", "overfitting", "perplexity", "hub", "gated",
        "token", "tokenizer", "GGUF", "merge", "base vs instruct", "KV cache", "fp16", "fp8", "MIG", "ECC", "NVML",
        "cgroup", "QLoRA",
    ):
        assert look_up(word), word
