"""Packed rows give the logits that they give alone, on every attention that the worker runs, and lose no token."""

from __future__ import annotations

import itertools
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.masking import Tokens
from ftui.data.packing import pack
from ftui.data.token_rows import UNTRAINED, TokenRows, TokenStore

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("worker")]

VOCAB = 61


def stored(lengths: list[int]) -> TokenStore:
    """Rows of those lengths, each of other tokens, every third of which is trained."""
    store = TokenStore()
    for number, length in enumerate(lengths):
        ids = array("i", ((7 * number + 5 * place) % (VOCAB - 1) + 1 for place in range(length)))
        store.append(Tokens(ids, bytearray(place % 3 != 0 for place in range(length))))
    return store


def packed(store: TokenStore, max_length: int) -> TokenRows:
    return TokenRows(store, pack([store.length(row) for row in range(len(store))], max_length))


@settings(max_examples=150, deadline=None)
@given(lengths=st.lists(st.integers(1, 24), min_size=1, max_size=40), micro_batch=st.integers(1, 4),
       flatten=st.booleans(), multiple=st.sampled_from([1, 8]))  # fmt: skip
def test_whatever_is_packed_every_token_reaches_the_model_once_with_its_place_and_label(
    lengths: list[int], micro_batch: int, flatten: bool, multiple: int
) -> None:
    from ftui.worker.collate import Collator

    store = stored(lengths)
    rows = packed(store, 24)
    collate = Collator(pad_id=0, packed=True, flatten=flatten, multiple=multiple)
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    counted = 0
    for start in range(0, len(rows), micro_batch):
        batch = collate(rows[start : start + micro_batch])
        counted += batch["tokens"]
        assert "attention_mask" not in batch, "with one, transformers would take the packed rows for a single one"
        for ids, labels, places in zip(*(batch[name].tolist() for name in ("input_ids", "labels", "position_ids")),
                                       strict=True):  # fmt: skip
            begins = [place for place, position in enumerate(places) if position == 0] + [len(places)]
            for begin, end in itertools.pairwise(begins):
                assert places[begin:end] == list(range(end - begin)), "places begin anew with each row"
                if any(ids[begin:end]):
                    seen.append((tuple(ids[begin:end]), tuple(labels[begin:end])))
                else:
                    assert set(labels[begin:end]) == {UNTRAINED}, "padding teaches nothing"
    expected = [
        (tuple(tokens.ids), tuple(token if trained and place else UNTRAINED for place, (token, trained)
                                  in enumerate(zip(tokens.ids, tokens.trained, strict=True))))
        for tokens in map(store.row, range(len(store)))
    ]  # fmt: skip
    assert sorted(seen) == sorted(expected)
    assert counted == sum(lengths)


def tiny(kind: str, attention: str) -> Any:
    """A small model of random weights whose attention tells every token from every other."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "head_dim": 8,
             "pad_token_id": 0, "sliding_window": 8}  # fmt: skip
    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, **sizes)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32).eval()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "gemma3_text"])
def test_logits_of_packed_rows_are_those_of_each_alone(kind: str, attention: str) -> None:
    import torch

    from ftui.worker.collate import Collator

    model = tiny(kind, attention)
    store = stored([5, 9, 3, 12, 7, 4, 11, 1, 2])
    rows = packed(store, 20)
    alone = TokenRows(store, ([row] for row in range(len(store))))
    collate, single = Collator(pad_id=0, packed=True), Collator(pad_id=0)
    wanted: dict[tuple[int, ...], Any] = {}
    with torch.no_grad():
        for row in alone:
            batch = single([row])
            # As the worker's loss calls it: without a cache, without which transformers keeps packed rows apart.
            wanted[tuple(row["input_ids"])] = model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
            ).logits[0]
        batch = collate(list(rows))
        found = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
    compared = 0
    for number, row in enumerate(rows):
        place = 0
        for length in row["seq_lengths"]:
            ids = tuple(row["input_ids"][place : place + length])
            assert torch.allclose(found[number, place : place + length], wanted[ids], atol=2e-5), (number, place)
            place, compared = place + length, compared + 1
    assert compared == len(store)
    assert any(len(row["seq_lengths"]) > 1 for row in rows)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_word_changed_in_one_row_changes_no_logit_of_its_neighbours(attention: str) -> None:
    import torch

    from ftui.worker.collate import Collator

    model, store = tiny("llama", attention), stored([6, 7, 7])
    row = packed(store, 20)[0]
    assert sorted(row["seq_lengths"]) == [6, 7, 7]
    collate = Collator(pad_id=0, packed=True)
    changed = {**row, "input_ids": [(row["input_ids"][0] + 1) % VOCAB or 1, *row["input_ids"][1:]]}
    with torch.no_grad():
        before, after = (
            model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
            for batch in (collate([row]), collate([changed]))
        )
    first = row["seq_lengths"][0]
    assert not torch.equal(before[:first], after[:first])
    assert torch.equal(before[first:], after[first:])


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=300), batch=st.integers(1, 8),
       seed=st.integers(0, 99))  # fmt: skip
def test_grouping_by_length_takes_each_row_once_and_wastes_less(lengths: list[int], batch: int, seed: int) -> None:
    from ftui.worker.grouping import LengthGroups

    groups = LengthGroups(lengths, batch, seed)
    order = list(groups)
    assert sorted(order) == list(range(len(lengths)))
    assert order == list(LengthGroups(lengths, batch, seed)), "and again so after a resume"

    def padded(rows: list[int]) -> int:
        return sum(
            len(part) * max(lengths[row] for row in part)
            for part in (rows[start : start + batch] for start in range(0, len(rows), batch))
        )

    if len(lengths) <= 50 * batch:
        assert padded(order) <= padded(list(range(len(lengths)))) + batch * max(lengths), "the longest comes first"
