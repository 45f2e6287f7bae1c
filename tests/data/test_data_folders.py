"""Arrow files, packed files, folders of shards, saved datasets and patterns are read as one source, in order."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ftui.data import profile
from ftui.data.canonical import Row
from ftui.data.folders import files_in, is_pattern, matching
from ftui.data.given import Given
from ftui.data.loading import find_files, load
from ftui.data.unpacking import FREE_BYTES
from ftui.errors import BadInput

pyarrow = pytest.importorskip("pyarrow")


def texts(path: Path | str, split: str | None = None) -> list[str]:
    return [row.value["text"] for row in load(Given(str(path), split=split)).rows() if isinstance(row, Row)]


def lines(*words: str) -> bytes:
    return "".join(json.dumps({"text": word}) + "\n" for word in words).encode()


def put(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def arrow(path: Path, *words: str, indexed: bool = False) -> Path:
    """An Arrow file of one batch per word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"text": list(words)})
    make = pyarrow.ipc.new_file if indexed else pyarrow.ipc.new_stream
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return path


def saved(folder: Path, *words: str) -> Path:
    """What Dataset.save_to_disk writes, in one shard per word."""
    names = [f"data-{index:05}-of-{len(words):05}.arrow" for index in range(len(words))]
    for name, word in zip(names, words, strict=True):
        arrow(folder / name, word)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


@pytest.mark.parametrize("indexed", [False, True], ids=["stream", "file with an index"])
def test_an_arrow_file_is_read_in_both_its_forms(tmp_path: Path, indexed: bool) -> None:
    path = arrow(tmp_path / "a.arrow", "one", "two", indexed=indexed)
    assert texts(path) == ["one", "two"]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="broken Arrow file"):
        texts(path)
    path.write_bytes(b"words")
    with pytest.raises(BadInput, match="named as an Arrow file but isn't one"):
        texts(path)


def test_a_saved_dataset_is_read_from_its_folder_and_a_dictionary_by_its_split(tmp_path: Path) -> None:
    saved(tmp_path / "all/train", "one", "two")
    saved(tmp_path / "all/test", "three")
    (tmp_path / "all/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert texts(tmp_path / "all/train") == texts(tmp_path / "all") == ["one", "two"]
    assert texts(tmp_path / "all", "test") == ["three"]
    with pytest.raises(BadInput, match=r"no split 'dev'.*") as missing:
        load(Given(str(tmp_path / "all"), split="dev"))
    assert "train, test" in str(missing.value)


@pytest.mark.slow
def test_what_the_datasets_library_saves_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"text": "one", "n": [1, 2]}, {"text": "two", "n": []}]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"), num_shards=2)
    assert texts(tmp_path / "saved") == ["one", "two"]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("{", "can't be read"),
        ("[]", "can't be read"),
        ("{}", "names no data files"),
        ('{"_data_files": [{"filename": "../../secret.arrow"}]}', "names no data files"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', "There is no file"),
        ('{"_data_files": [{"filename": "a.arrow"}], "_indices_files": [{"filename": "b"}]}', "selection of rows"),
    ],
)
def test_a_saved_dataset_that_is_spoilt_is_one_sentence(tmp_path: Path, state: str, says: str) -> None:
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(BadInput, match=says):
        load(Given(str(tmp_path)))


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.unknown"])
def test_zstd_is_unpacked_and_a_broken_archive_is_told(tmp_path: Path, name: str) -> None:
    packed = pyarrow.compress(lines("one", "two"), codec="zstd", asbytes=True)
    path = tmp_path / name
    path.write_bytes(packed + packed)
    assert texts(path) == ["one", "two", "one", "two"]
    path.write_bytes(packed[:-6])
    with pytest.raises(BadInput, match="broken zstd file"):
        texts(path)


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pyarrow.compress(data, codec="zstd", asbytes=True)])
def test_an_archive_that_unpacks_to_an_absurd_size_is_refused(
    tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftui.data.unpacking.FREE_BYTES", 1 << 16)
    assert FREE_BYTES > 1 << 20
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(pack(b'{"text": "' + b"a" * (64 << 20) + b'"}'))
    with pytest.raises(BadInput, match="which no text does"):
        profile(str(path))


def test_a_folder_of_shards_is_one_source_in_the_order_of_names(tmp_path: Path) -> None:
    put(tmp_path, b__jsonl=lines("three"), a__jsonl=lines("one", "two"))
    put(tmp_path, README__md=b"# words", LICENSE__txt=b"words", _part__jsonl=b"{", __hidden__jsonl=b"{")
    assert texts(tmp_path) == ["one", "two", "three"]
    assert profile(str(tmp_path)).rows == 3


def test_shards_of_several_splits_are_told_apart_by_their_names(tmp_path: Path) -> None:
    put(tmp_path, **{"train-01__jsonl": lines("two"), "train-00__jsonl": lines("one"), "test-0__jsonl": lines("x")})
    assert texts(tmp_path) == ["one", "two"]
    assert texts(tmp_path, "test") == ["x"]
    with pytest.raises(BadInput, match="belongs to the split 'dev'"):
        files_in(tmp_path, "dev")


def test_a_folder_that_is_no_one_source_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no data file in the folder"):
        load(Given(str(tmp_path)))
    (tmp_path / "inner").mkdir()
    with pytest.raises(BadInput, match="Name one of the folders in it: inner"):
        load(Given(str(tmp_path)))
    put(tmp_path, a__jsonl=lines("one"), b__csv=b"text\none\n")
    with pytest.raises(BadInput) as mixed:
        load(Given(str(tmp_path)))
    assert "several kinds (.csv, .jsonl)" in str(mixed.value)
    assert "/*.csv'" in str(mixed.value)


def test_a_pattern_means_its_files_in_order_and_a_name_with_brackets_itself(tmp_path: Path) -> None:
    put(tmp_path / "x", b__jsonl=lines("two"), a__jsonl=lines("one"), c__csv=b"text\nno\n")
    put(tmp_path / "y" / "deep", a__jsonl=lines("three"))
    assert texts(tmp_path / "x/*.jsonl") == ["one", "two"]
    assert texts(tmp_path / "**/*.jsonl") == ["one", "two", "three"]
    assert texts(tmp_path / "x/[b]*.jsonl") == ["two"]
    with pytest.raises(BadInput, match="No file matches"):
        load(Given(str(tmp_path / "x/*.parquet")))
    put(tmp_path, **{"a[1]__jsonl": lines("itself")})
    assert texts(tmp_path / "a[1].jsonl") == ["itself"]


def test_links_in_circles_end_nothing(tmp_path: Path) -> None:
    put(tmp_path / "x", a__jsonl=lines("one"))
    for name in ("round", "again"):
        (tmp_path / "x" / name).symlink_to(tmp_path)
    assert [path.name for path in matching(str(tmp_path / "**/*.jsonl"))] == ["a.jsonl"]
    (tmp_path / "self.jsonl").symlink_to(tmp_path / "self.jsonl")
    with pytest.raises(BadInput, match="link"):
        load(Given(str(tmp_path / "self.jsonl")))


def test_a_pipe_among_the_shards_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    put(tmp_path, a__jsonl=lines("one"))
    os.mkfifo(tmp_path / "b.jsonl")
    with pytest.raises(BadInput, match="no regular file"):
        load(Given(str(tmp_path)))


def test_a_pattern_is_no_hub_dataset() -> None:
    assert is_pattern("owner/na*e")
    assert not is_pattern("owner/name")
    with pytest.raises(BadInput, match="No file matches"):
        find_files(Given("owner/na*e"))
