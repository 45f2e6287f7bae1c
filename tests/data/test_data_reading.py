"""Files of every kind become rows with their line numbers; what can't be read is said, and the rest still loads."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.data.reading import Broken, open_file
from ftui.errors import BadInput, FtuiError

ROWS = [{"prompt": f"question {i}", "completion": f"answer\n{i}"} for i in range(3)]


def read(path: Path) -> list[tuple[int, Any]]:
    file = open_file(path)
    return list(file.read(path))


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_of(found: list[tuple[int, Any]]) -> list[Any]:
    return [row for _, row in found if not isinstance(row, Broken)]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n".join(map(json.dumps, ROWS)),
        "\n\n".join(map(json.dumps, ROWS)) + "\n",
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"data": {"train": ROWS}}, indent=1),
        json.dumps({"prompt": [row["prompt"] for row in ROWS], "completion": [row["completion"] for row in ROWS]}),
        json.dumps({key: {str(i): row[key] for i, row in enumerate(ROWS)} for key in ROWS[0]}),
        "\ufeff" + json.dumps(ROWS),
    ],
    ids=["array", "indented array", "lines", "lines apart", "objects over lines", "list inside", "list two inside",
         "by columns", "pandas", "with a BOM"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["data.json", "data.jsonl", "data.unknown"])
def test_json_is_read_in_every_shape_whatever_its_name(tmp_path: Path, name: str, content: str) -> None:
    assert rows_of(read(written(tmp_path, name, content))) == ROWS


def test_rows_of_an_array_carry_the_line_they_start_at(tmp_path: Path) -> None:
    found = read(written(tmp_path, "a.json", json.dumps(ROWS, indent=2)))
    assert [line for line, _ in found] == [2, 6, 10]


def test_a_bad_line_is_told_with_its_number_and_the_rest_still_loads(tmp_path: Path) -> None:
    lines = [b'{"text": "one"}', b'{"text": "two"', b"[1]", b'{"text": "\xff"}', b"", b'{"text": "six"}', b"null"]
    found = read(written(tmp_path, "a.jsonl", b"\n".join(lines)))
    assert rows_of(found) == [{"text": "one"}, {"text": "six"}]
    assert [(line, str(row)) for line, row in found if isinstance(row, Broken)] == [
        (2, "broken JSON: Expecting ',' delimiter at column 15"),
        (3, "a list where an object with columns should be"),
        (4, "not UTF-8 (byte 0xFF at column 11)"),
        (7, "null where an object with columns should be"),
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_broken_row_inside_an_array_loses_only_itself(tmp_path: Path, indent: int | None) -> None:
    content = json.dumps(ROWS, indent=indent).replace('"question 1"', "question 1")
    found = read(written(tmp_path, "a.json", content))
    assert rows_of(found) == [ROWS[0], ROWS[2]]
    assert sum(isinstance(row, Broken) for _, row in found) == 1


def test_an_array_that_was_cut_off_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    found = read(written(tmp_path, "a.json", json.dumps(ROWS, indent=2)[:-25]))
    assert rows_of(found) == ROWS[:2]
    assert found[-1] == (10, "broken JSON: the file ends in line 12, in the middle of this row")


TURNS = [{"role": role, "content": "Hello"} for role in ("user", "assistant", "user")]


@pytest.mark.parametrize(
    ("content", "readable", "line", "said"),
    [
        # Beside what else an object says, the rows stand in a list of its own, or of its member's.
        ('{"version": 1, "made": {"by": "me", "on": 2},\n"data": [' + json.dumps(ROWS)[1:-9], 2, 2, "the file ends in"),
        ('{"version": 1, "data": {"train": [\n' + json.dumps(ROWS)[1:-9], 2, 2, "the file ends in the middle"),
        # A conversation's turns are no rows.
        (json.dumps({"messages": TURNS})[:-9], 0, 1, "the file ends in the middle of this row"),
        (json.dumps({"messages": TURNS}, indent=1)[:-12], 0, 1, "the file ends in line 13, in the middle of this row"),
        (json.dumps({"prompt": ["a", "b"], "completion": ["c", "d"]}, indent=1)[:-9], 0, 1, "the file ends in line 7,"),
    ],
)
def test_a_file_that_was_cut_off_is_called_that_with_its_line(
    tmp_path: Path, content: str, readable: int, line: int, said: str
) -> None:
    *read_whole, last = read(written(tmp_path, "a.json", content))
    assert rows_of(read_whole) == ROWS[:readable]
    assert last[0] == line
    assert said in last[1]


def test_a_last_line_that_was_cut_off_is_called_that(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in ROWS]
    found = read(written(tmp_path, "a.jsonl", "\n".join(lines)[:-9]))
    assert found[-1] == (3, "broken JSON: the file ends in the middle of this row")
    found = read(written(tmp_path, "a.jsonl", "\n".join([lines[0][:-9], *lines[1:]])))
    assert "the file ends" not in found[0][1]


def test_an_array_that_is_never_closed_is_told(tmp_path: Path) -> None:
    found = read(written(tmp_path, "a.json", json.dumps(ROWS)[:-1]))
    assert rows_of(found) == ROWS
    assert "before the list is closed" in found[-1][1]


def test_lines_whose_first_is_very_long_are_read_one_by_one(tmp_path: Path) -> None:
    rows = [{"text": "word " * 40_000}, {"text": "b"}]
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert open_file(path).container == "jsonl"
    assert rows_of(read(path)) == rows
    assert rows_of(read(written(tmp_path, "a.json", json.dumps({"data": rows})))) == rows


def test_deep_nesting_and_huge_numbers_are_bad_rows(tmp_path: Path) -> None:
    lines = ['{"text": "ok"}', '{"a": ' + "[" * 100_000 + "}", '{"a": ' + "9" * 5000 + "}"]
    found = read(written(tmp_path, "a.jsonl", "\n".join(lines)))
    assert found[1] == (2, "nested too deeply")
    assert "Exceeds the limit (4300 digits)" in found[2][1]


def test_gzipped_files_are_unpacked(tmp_path: Path) -> None:
    content = gzip.compress("\n".join(map(json.dumps, ROWS)).encode())
    assert rows_of(read(written(tmp_path, "a.jsonl.gz", content))) == ROWS
    with pytest.raises(BadInput, match="broken gzip"):
        read(written(tmp_path, "b.jsonl.gz", content[:-12]))


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.csv", "|")])
def test_csv_dialects_with_quoted_newlines_are_read(tmp_path: Path, name: str, delimiter: str) -> None:
    import csv

    with (tmp_path / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, ["prompt", "completion"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    found = read(tmp_path / name)
    assert rows_of(found) == ROWS
    assert [line for line, _ in found] == [2, 4, 6]


def test_a_csv_row_with_too_many_fields_is_told_with_its_line(tmp_path: Path) -> None:
    found = read(written(tmp_path, "a.csv", 'a,b\n1,2\n1,2,3\n\n"4","5"\n'))
    assert rows_of(found) == [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}]
    assert found[1] == (3, "3 fields where the header has 2")


def test_a_quote_that_is_never_closed_loses_only_its_row(tmp_path: Path) -> None:
    found = read(written(tmp_path, "a.csv", 'a,b\n1,2\n3,"open\n5,6\n7,8\n'))
    assert rows_of(found) == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}, {"a": "7", "b": "8"}]
    assert (3, "a quote is opened and never closed") in found


def test_a_csv_field_may_be_longer_than_the_csv_module_allows_by_default(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert rows_of(read(written(tmp_path, "a.csv", f"text\n{long}\n"))) == [{"text": long}]


def test_unnamed_and_repeated_csv_columns_are_told_apart(tmp_path: Path) -> None:
    assert rows_of(read(written(tmp_path, "a.csv", ",x,x\n1,2,3\n"))) == [{"unnamed 1": "1", "x": "2", "x 2": "3"}]


def test_parquet_is_read_and_numbered(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [(1, ROWS[0]), (2, ROWS[1]), (3, ROWS[2])]
    whole = (tmp_path / "a.parquet").read_bytes()
    with pytest.raises(BadInput, match="broken Parquet"):
        read(written(tmp_path, "b.parquet", whole[: len(whole) // 2]))
    with pytest.raises(BadInput, match="isn't one"):
        read(written(tmp_path, "c.parquet", "text"))


def test_text_is_one_row_per_block_or_where_there_are_no_blocks_per_line(tmp_path: Path) -> None:
    blocks = read(written(tmp_path, "a.txt", "one\ntwo\n\n\nthree\n"))
    assert blocks == [(1, {"text": "one\ntwo"}), (5, {"text": "three"})]
    assert read(written(tmp_path, "b.txt", "\none\r\ntwo\n")) == [(2, {"text": "one"}), (3, {"text": "two"})]


def test_json_lines_in_a_text_file_are_read_as_json(tmp_path: Path) -> None:
    assert open_file(written(tmp_path, "a.txt", "\n".join(map(json.dumps, ROWS)))).container == "jsonl"
    assert open_file(written(tmp_path, "b.txt", "[sic] in prose\nis no JSON\n")).container == "text"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b" \n\n\t", "is empty"),
        ("a.jsonl", '{"text": "a"}'.encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
        ("a.csv", "text\na".encode("utf-16-be"), "iconv -f UTF-16BE"),
        ("a.csv", "text\na\n".encode("utf-16-le"), "iconv -f UTF-16LE"),
        ("a.jsonl", "text".encode("utf-32"), "iconv -f UTF-32LE"),
        ("a.xlsx", b"PK\x03\x04rest", "save the sheet as CSV"),
        ("a.pdf", b"%PDF-1.7", "Extract its text"),
        ("a.jsonl", b"\x00\x01\x02\x03\x00\x00\x00\x04text", "binary file"),
        ("a.dat", b"some words", "Name it"),
        ("a.pkl", b"\x80\x04\x95rest", "never loads pickles"),
    ],
)
def test_files_that_are_no_data_are_refused_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(BadInput) as refused:
        read(written(tmp_path, name, content))
    assert says in str(refused.value)


def test_a_missing_file_suggests_the_nearest_name_and_a_folder_lists_its_files(tmp_path: Path) -> None:
    written(tmp_path, "train.jsonl", "{}")
    with pytest.raises(BadInput) as missing:
        open_file(tmp_path / "trian.jsonl")
    assert str(tmp_path / "train.jsonl") in str(missing.value)
    with pytest.raises(BadInput, match=r"train\.jsonl"):
        open_file(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_how_to_get_it(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": "a"}')
    path.chmod(0)
    with pytest.raises(BadInput, match="chmod"):
        open_file(path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(BadInput, match="no regular file"):
        open_file(tmp_path / "a.jsonl")


FRAGMENTS = [b'{"text": "a"}', b"\n", b'{"a": [', b"]", b"[", b",", b'"', b"\xff", b"PAR1", b"\x1f\x8b"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["a.json", "a.jsonl", "a.csv", "a.tsv", "a.txt", "a.parquet", "a.bin", "a.jsonl.gz"]),
    content=st.binary(max_size=200)
    | st.text(alphabet='{}[]",:\n\r\\ a1\ufeff\x00é;\t', max_size=120).map(lambda text: text.encode())
    | st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join),
)
def test_no_bytes_whatever_raise_anything_but_an_error_for_people(tmp_path: Path, name: str, content: bytes) -> None:
    from ftui.data import profile

    path = written(tmp_path, name, content)
    with contextlib.suppress(FtuiError):
        assert profile(str(path)).rows > 0


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", ["", '{"version": "1", "data": '])
def test_a_long_array_is_read_in_stretches_as_it_would_be_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, before: str
) -> None:
    rows = [
        {"prompt": f"Frage {i} ü\\ud83d \" }}, {{ " + "x" * (i % 97), "completion": [i, -1.5e3, None]}
        for i in range(300)
    ]  # fmt: skip
    content = before + json.dumps(rows, indent=indent)
    # Two broken ones, of which one lacks its quote.
    content = content.replace('"Frage 100', "Frage 100").replace('"completion": [', '"completion: [', 1)
    path = written(tmp_path, "a.json", content + ("}" if before else ""))
    at_once = read(path)
    for block in (7, 100, 5000):
        monkeypatch.setattr("ftui.data.json_window.BLOCK", block)
        monkeypatch.setattr("ftui.data.json_reader.BLOCK", block)
        monkeypatch.setattr("ftui.data.json_reader._WHOLE", 200)
        assert read(path) == at_once
    assert len(rows_of(at_once)) >= 297
    assert sum(isinstance(row, Broken) for _, row in at_once) >= 2


def test_of_what_is_longer_than_a_row_only_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("reading", "json_reader", "csv_reader"):
        monkeypatch.setattr(f"ftui.data.{module}.LONGEST", 10_000)
    monkeypatch.setattr("ftui.data.json_window.BLOCK", 1000)
    monkeypatch.setattr("ftui.data.json_reader.BLOCK", 1000)
    rows = [{"text": "first"}, {"text": "long " * 20_000}, {"text": "last"}]
    lines = "\n".join(map(json.dumps, rows))
    texts = "\n".join(row["text"] for row in rows)
    for name, content, number in (
        ("a.jsonl", lines, 2), ("a.json", json.dumps(rows), 1), ("b.json", json.dumps(rows, indent=1), 5),
        ("a.txt", texts, 2), ("a.csv", f"text,x\n{texts.replace(chr(10), ',1' + chr(10))},1", 3),
    ):  # fmt: skip
        found = read(written(tmp_path, name, content))
        assert [row["text"] for row in rows_of(found)] == ["first", "last"], name
        [(line, said)] = [(line, row) for line, row in found if isinstance(row, Broken)]
        assert (line, "where a row may have" in said) == (number, True), name


def test_a_text_without_blank_lines_for_long_is_several_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftui.data.reading.LONGEST", 100)
    found = rows_of(read(written(tmp_path, "a.txt", "one\n\n" + "word\n" * 60 + "\ntwo\n")))
    assert [len(row["text"].split()) for row in found] == [1, 26, 26, 8, 1]
