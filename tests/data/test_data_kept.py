"""Prepared rows are found again by the content of all that they follow from, and by nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftui.data import Prepared, prepare, prepared_cache
from ftui.data.tokenizer import Tokenizer
from ftui.documents import RowForm
from ftui.errors import BadInput
from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe
from ftui.units import GiB

TALKS = [{"prompt": f"question {n}", "completion": f"answer {n} " * (1 + n % 5)} for n in range(40)]
PAIRS = [{"prompt": f"q {n}", "chosen": f"good {n}", "rejected": f"bad {n}", "margin": n} for n in range(12)]
LABELLED = [{"prompt": f"q {n}", "completion": f"a {n}", "label": n % 2 == 0} for n in range(12)]
CLASSES = [{"text": f"words {n}", "label": "odd" if n % 2 else "even"} for n in range(12)]


def recipe(path: str, **settings: Any) -> Recipe:
    asked = {f"data.{name}": value for name, value in settings.items()}
    return assign(Recipe(), {"data.sources": [{"path": path}], "data.max_length": 64, "data.validation": 0.2, **asked})


def made(asked: Recipe, tokenizer: Tokenizer, form: RowForm = "sequence", **how: Any) -> Prepared:
    return prepare(asked, tokenizer, seed=how.pop("seed", 1), form=form, **how)


def same(one: Prepared, other: Prepared) -> bool:
    sides = [(list(one.train), list(other.train)), (list(one.validation), list(other.validation))]
    rest = [
        {name: value for name, value in vars(prepared).items() if name not in ("train", "validation", "cached")}
        for prepared in (one, other)
    ]
    return all(ours == theirs for ours, theirs in sides) and rest[0] == rest[1]


@pytest.mark.parametrize(
    ("rows", "form", "settings"),
    [
        (TALKS, "sequence", {}), (TALKS, "sequence", {"packing": True}), (TALKS, "prompt", {}),
        (TALKS, "answered", {}), (PAIRS, "pair", {}), (LABELLED, "labelled", {}), (CLASSES, "class", {}),
        ([*TALKS, {"prompt": "", "completion": "x"}], "sequence", {"prepare": [{"sample": 0.5}, {"shuffle": None}]}),
    ],
)
def test_the_second_time_the_rows_are_found_as_they_were_made(
    jsonl: Callable[..., str], bpe: Tokenizer, rows: list[Any], form: RowForm, settings: dict[str, Any]
) -> None:
    asked = recipe(jsonl(*rows), **settings)
    first, second = made(asked, bpe, form), made(asked, bpe, form)
    assert (first.cached, second.cached) == (False, True)
    assert same(first, second)
    assert second.train.lengths() == first.train.lengths()
    assert (second.tokens, second.trained_tokens, second.longest) == (first.tokens, first.trained_tokens, first.longest)


def test_a_validation_file_is_kept_as_a_side_of_its_own(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    asked = recipe(jsonl(*PAIRS), validation=jsonl(*PAIRS[:3], name="held.jsonl"))
    first, second = made(asked, bpe, "pair"), made(asked, bpe, "pair")
    assert second.cached
    assert same(first, second)
    Path(str(asked.data.validation)).write_text(json.dumps(PAIRS[4]) + "\n")
    assert not made(asked, bpe, "pair").cached


def test_a_changed_byte_prepares_again_and_a_touched_file_does_not(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    path = Path(jsonl(*TALKS))
    asked = recipe(str(path))
    made(asked, bpe)
    os.utime(path, (1, 1))
    assert made(asked, bpe).cached
    text, status = path.read_text(), path.stat()
    path.write_text(text.replace("answer 7", "answer 8", 1))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = made(asked, bpe)
    assert not changed.cached, "its size and its time are as they were"
    path.write_text(text)
    assert made(asked, bpe).cached, "as it was before"


@pytest.mark.parametrize(
    "change",
    [
        {"data.max_length": 32}, {"data.validation": 0.1}, {"data.packing": True}, {"data.template": "plain"},
        {"data.curriculum": "length"}, {"data.prepare": [{"drop_duplicates": None}]}, {"objective.loss_on": "all"},
    ],
)
def test_what_changes_the_rows_prepares_again(
    jsonl: Callable[..., str], bpe: Tokenizer, change: dict[str, Any]
) -> None:
    asked = recipe(jsonl(*TALKS))
    made(asked, bpe)
    assert not made(assign(asked, change), bpe).cached
    assert not made(asked, bpe, seed=2).cached
    assert not made(asked, bpe, "prompt").cached
    assert not made(asked, replace(bpe, adds_bos=True, bos_token="<s>")).cached


def test_what_changes_no_row_does_not(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    asked = recipe(jsonl(*TALKS))
    made(asked, bpe)
    others = {"name": "other", "train.learning_rate": 1e-5, "train.epochs": 3, "adapter.kind": "none",
              "data.padding": "max_length", "evaluate.patience": 2}  # fmt: skip
    assert made(assign(asked, others), bpe).cached


def test_files_that_repairs_and_templates_name_count_by_their_content(
    jsonl: Callable[..., str], bpe: Tokenizer, tmp_path: Path
) -> None:
    test, template = jsonl(TALKS[3], name="test.jsonl"), tmp_path / "own.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}")
    asked = recipe(jsonl(*TALKS), prepare=[{"drop_leaks": [test]}], template=str(template))
    made(asked, bpe)
    assert made(asked, bpe).cached
    Path(test).write_text(json.dumps(TALKS[5]) + "\n")
    assert not made(asked, bpe).cached
    template.write_text("{% for m in messages %}{{ m.content }}!{{ eos_token }}{% endfor %}")
    assert not made(asked, bpe).cached


def test_a_template_that_writes_the_day_prepares_again_on_another(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    day = 86_400.0
    source = "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    dated, asked = replace(bpe, chat_template=source), recipe(jsonl(*TALKS))
    made(asked, dated, when=20_000 * day + 3600)
    assert made(asked, dated, when=20_000 * day + 7200).cached
    assert not made(asked, dated, when=20_002 * day).cached
    timed = replace(bpe, chat_template=source.replace("%d", "%H"))
    made(asked, timed, when=20_000 * day)
    assert not made(asked, timed, when=20_000 * day + 1).cached


def entry() -> Path:
    [found] = prepared_cache.entries()
    return found.path


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_torn_entry_is_prepared_again(jsonl: Callable[..., str], bpe: Tokenizer, share: float) -> None:
    asked = recipe(jsonl(*TALKS))
    first = made(asked, bpe)
    whole = entry().read_bytes()
    entry().write_bytes(whole[: int(share * len(whole))])
    again = made(asked, bpe)
    assert not again.cached
    assert same(first, again)
    assert entry().read_bytes() == whole, "and kept whole"


@pytest.mark.parametrize("place", [0, 20, 30, 3000, -40, -1])
def test_a_damaged_entry_is_prepared_again(jsonl: Callable[..., str], bpe: Tokenizer, place: int) -> None:
    asked = recipe(jsonl(*TALKS))
    made(asked, bpe)
    data = bytearray(entry().read_bytes())
    data[place] ^= 0x55
    entry().write_bytes(bytes(data))
    assert not made(asked, bpe).cached
    assert made(asked, bpe).cached


def test_nothing_half_written_is_left_where_the_disk_is_full(
    jsonl: Callable[..., str], bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    asked = recipe(jsonl(*TALKS))
    assert made(asked, bpe).train_rows == 32
    assert list(prepared_cache.folder().iterdir()) == []


def test_what_was_not_used_for_longest_makes_room(
    jsonl: Callable[..., str], bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [recipe(jsonl(*TALKS, name=f"{number}.jsonl")) for number in range(3)]
    sizes = []
    for number, one in enumerate(asked):
        made(one, bpe)
        newest = prepared_cache.entries()[0]
        os.utime(newest.path, (number, number))
        sizes.append(newest.bytes)
    made(asked[0], bpe)  # Its use counts, not its making.
    prepared_cache.shrink(sum(sizes) - 1)
    assert [made(one, bpe).cached for one in (asked[0], asked[2])] == [True, True]
    assert not made(asked[1], bpe).cached
    monkeypatch.setenv("FTUI_PREPARED_GIB", str(2.5 * max(sizes) / GiB))
    made(recipe(jsonl(*TALKS, name="new.jsonl")), bpe)
    assert len(prepared_cache.entries()) == 2
    monkeypatch.setenv("FTUI_PREPARED_GIB", "0")
    assert not made(recipe(jsonl(*TALKS, name="more.jsonl")), bpe).cached
    assert not made(recipe(jsonl(*TALKS, name="more.jsonl")), bpe).cached, "no room, none kept"


def test_rows_of_a_function_of_ones_own_are_never_taken_for_known(bpe: Tokenizer, tmp_path: Path) -> None:
    own = tmp_path / "rows.py"
    own.write_text("def load():\n    for n in range(30):\n        yield {'prompt': f'q {n}', 'completion': f'a {n}'}\n")
    asked = recipe(f"{own}:load")
    assert [made(asked, bpe).cached for _ in range(2)] == [False, False]
    assert prepared_cache.entries() == []


def test_a_file_that_is_written_to_while_it_is_read_is_not_kept(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    path = Path(jsonl(*TALKS * 20))

    def write(done: int, total: int | None) -> None:
        with open(path, "a") as file:
            file.write(json.dumps({"prompt": "late", "completion": "row"}) + "\n")

    made(recipe(str(path)), bpe, on_progress=write)
    assert prepared_cache.entries() == []


def test_errors_are_never_kept(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    asked = recipe(jsonl({"prompt": "q", "completion": ""}))
    for _ in range(2):
        with pytest.raises(BadInput):
            made(asked, bpe)
    assert prepared_cache.entries() == []


def test_the_sources_versions_say_what_was_trained_on(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    import hashlib

    path = Path(jsonl(*TALKS, {"prompt": "", "completion": ""}))
    prepared = made(recipe(str(path)), bpe)
    [version] = prepared.versions
    assert version.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (version.ref, version.rows, version.bytes) == (str(path), 40, path.stat().st_size)
    assert str(version) == f"{path} (40 rows, sha256 {version.sha256[:12]})"


def test_a_hub_dataset_is_known_by_its_commit(tmp_path: Path, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftui.paths.hub_cache_dir", lambda: tmp_path)
    snapshot = tmp_path / "datasets--owner--name" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TALKS))
    [version] = made(recipe("owner/name"), bpe).versions
    assert (version.ref, version.revision) == ("owner/name", "c" * 40)
    assert parse("data: {sources: [{path: owner/name}]}").data.sources[0].revision is None
