"""Files as they arrive when something went wrong on the way: made by code, the same each time."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import pickle
import random
import socket
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
from pyarrow import parquet

MiB = 1 << 20


class Spoilt(NamedTuple):
    """A file and whether its fault must be said; some faults leave whole rows, or none that can be told."""

    path: Path
    told: bool


ROWS = [{"prompt": f"Was ist {i}?", "completion": f"Die Äpfel, \"{i}\" davon.\nUnd Öl: {'x' * i}"} for i in range(40)]


def corpus(folder: Path) -> Iterator[Spoilt]:
    """Every small spoilt file, written when it is asked for."""
    for name, content in _sound().items():
        strict = not name.endswith((".csv", ".tsv", ".txt"))
        for fault, (spoil, told) in _FAULTS.items():
            path = folder / f"{fault} {name}"
            path.write_bytes(spoil(content))
            yield Spoilt(path, told == "always" or (told == "strict" and strict))
    yield from _written(folder, _special_contents())
    yield from _special_files(folder)


def large(folder: Path) -> Iterator[Spoilt]:
    """Lines of 20 MiB, and small archives that unpack to hundreds."""
    yield from _written(folder, _large_contents())


def _written(folder: Path, contents: Iterator[tuple[str, bytes, bool]]) -> Iterator[Spoilt]:
    for name, content, told in contents:
        path = folder / name
        path.write_bytes(content)
        yield Spoilt(path, told)


def _sound() -> dict[str, bytes]:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
    table = pyarrow.Table.from_pylist(ROWS)
    columnar, stream = io.BytesIO(), io.BytesIO()
    parquet.write_table(table, columnar)
    with pyarrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {
        "a.jsonl": lines,
        "a.json": json.dumps(ROWS, ensure_ascii=False).encode(),
        "indented.json": json.dumps(ROWS, ensure_ascii=False, indent=2).encode(),
        "inside.json": json.dumps({"version": 1, "data": ROWS}, ensure_ascii=False).encode(),
        "a.csv": _table(","),
        "a.tsv": _table("\t"),
        "a.txt": "\n\n".join(row["completion"] for row in ROWS).encode(),
        "a.parquet": columnar.getvalue(),
        "a.arrow": stream.getvalue(),
        "a.jsonl.gz": gzip.compress(lines, mtime=0),
        "a.jsonl.zst": pyarrow.compress(lines, codec="zstd", asbytes=True),
    }


def _table(delimiter: str) -> bytes:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(ROWS[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return written.getvalue().encode()


def _cut(share: float) -> Callable[[bytes], bytes]:
    """The first part of a file, ending in the middle of a row."""

    def cut(content: bytes) -> bytes:
        kept = content[: int(len(content) * share)].rstrip(b"\n}] \r")
        return kept or content[:1]

    return cut


def _flipped(seed: int, bytes_of: int = 5) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        chance, spoilt = random.Random(seed), bytearray(content)
        for _ in range(bytes_of):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        return bytes(spoilt)

    return flip


def _text(content: bytes, encoding: str) -> bytes:
    """In another encoding, where it is a text at all; else behind bytes that make it one of no kind."""
    try:
        return content.decode().encode(encoding, "replace")
    except UnicodeDecodeError:
        return b"\xff\xfe" + content


_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    **{f"cut at {share}": (_cut(share), "strict") for share in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9)},
    **{f"flipped {seed}": (_flipped(seed), "maybe") for seed in range(6)},
    "flipped much": (_flipped(7, 400), "maybe"),
    "empty": (lambda content: b"", "always"),
    "blank": (lambda content: b" \n\t\n" * 20, "always"),
    "zeros": (lambda content: bytes(len(content)), "always"),
    "zeros inside": (lambda content: content[:300] + bytes(64) + content[300:], "maybe"),
    "UTF-16": (lambda content: _text(content, "utf-16"), "always"),
    "UTF-16LE": (lambda content: _text(content, "utf-16-le"), "always"),
    "UTF-16BE": (lambda content: _text(content, "utf-16-be"), "always"),
    "UTF-32": (lambda content: _text(content, "utf-32"), "always"),
    "Latin-1": (lambda content: _text(content, "latin-1"), "always"),
    "two marks": (lambda content: b"\xef\xbb\xbf\xef\xbb\xbf" + content, "maybe"),
    "twice": (lambda content: content + content, "maybe"),
    "packed twice": (lambda content: gzip.compress(gzip.compress(content)), "always"),
    "behind a web page": (lambda content: b"<!DOCTYPE html><html><body>404</body></html>\n" + content, "strict"),
    "old Mac": (lambda content: content.replace(b"\n", b"\r"), "maybe"),
    "without its start": (lambda content: content[len(content) // 3 :], "maybe"),
    "comma for point": (lambda content: content.replace(b":", b","), "maybe"),
}


def _special_contents() -> Iterator[tuple[str, bytes, bool]]:
    row = {"prompt": "q", "completion": "a"}
    yield "deep list.json", b"[" * 1_000_000, True
    yield "deep object.jsonl", b'{"a": ' * 200_000, True
    yield "deep value.jsonl", b'{"text": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", True
    for depth in (200, 900, 990):
        nested = b"[" * depth + b"]" * depth
        yield f"{depth} deep.jsonl", b'{"prompt": "q", "x": ' + nested + b"}\n", False
        yield f"{depth} deep tools.jsonl", (
            b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools": [{"x": '
            + nested + b"}]}\n"
        ), False  # fmt: skip
    yield "one key twice.jsonl", b'{"text": "a", "text": "b"}\n' * 3, True
    yield "one key twice.json", b'[{"text": "a", "text": "b"}]', True
    yield "one key twice inside.jsonl", b'{"messages": [{"role": "user", "role": "assistant", "content": "b"}]}\n', True
    yield "mixed schemas.jsonl", _lines(*[row] * 3, {"text": "a"}, {"messages": []}, {"x": 1}), True
    yield "mixed types.jsonl", _lines(row, {"prompt": ["q"], "completion": {}}, {"prompt": 1, "completion": None}), True
    yield "mixed kinds.jsonl", _lines(row) + b'[1]\n"text"\n3\nnull\ntrue\n{}\n', True
    yield "numbers.jsonl", b'{"text": ' + b"9" * 100_000 + b"}\n", True
    yield "not a number.jsonl", b'{"prompt": NaN, "completion": Infinity}\n', True
    yield "half a character.jsonl", b'{"text": "\\ud83d"}\n{"text": "a"}\n', True
    yield "single quotes.jsonl", b"{'text': 'a'}\n" * 3, True
    yield "comments.jsonl", b'// rows\n{"text": "a"} // first\n', True
    yield "trailing commas.json", b'[{"text": "a",}, {"text": "b",},]', True
    yield "no rows.json", b"[]", True
    yield "no columns.jsonl", b"{}\n{}\n", True
    yield "a text.json", b'"words"', True
    yield "a number.json", b"3", True
    yield "null.jsonl", b"null\n", True
    yield "brackets.jsonl", b"][}{,:" * 1000, True
    yield "only a quote.csv", b'"', True
    yield "open quote.csv", b'prompt,completion\n"q,a\nq,a\n' * 3, True
    yield "open quotes.csv", b'prompt,completion\n' + b'"q,a\n' * 501, True
    yield "stray quotes.csv", b'prompt,completion\n"q"x,a"\n"a""b,c\nq,a\n', True
    yield "ragged.csv", b"prompt,completion\nq\nq,a,b\nq,a\n", True
    yield "only a header.csv", b"prompt,completion\n", True
    yield "no header.csv", b"1,2,3\n4,5,6\n", True
    yield "zeros.csv", b"prompt,completion\nq\0,a\n", False
    yield "many columns.csv", b",".join(b"c%d" % i for i in range(20_000)) + b"\n", True
    yield "bidi.jsonl", _lines({"prompt": "\u202eq\u2066", "completion": "\x1b]52;c;aGk=\x07\x1b[2J"}), False
    yield "odd columns.jsonl", _lines({"\x1b[31mprompt": "q", "\u202e": "a", "": 1}), True
    for protocol in range(6):
        for suffix in ("pkl", "jsonl", "bin"):
            yield f"pickle {protocol}.{suffix}", pickle.dumps(ROWS[:3], protocol=protocol), True
    yield "a.yaml", b"- prompt: q\n  completion: a\n", True
    yield "yaml.jsonl", b"- prompt: q\n  completion: a\n", True
    yield "yaml bomb.json", b"a: &a [x]\nb: &b [*a, *a]\n" * 100, True
    yield "xml.json", b"<rows><row>a</row></rows>", True
    yield "python.py", b"print('rows')\n", True
    yield "weights.safetensors", (64).to_bytes(8, "little") + b'{"a": {}}' + bytes(64), True
    yield "archive.jsonl.bz2", bz2.compress(_lines(row)), True
    yield "archive.jsonl.xz", lzma.compress(_lines(row)), True
    yield "archive.zip", _zip(), True
    yield "sheet.csv", _zip(), True
    yield "archive.tar", _tar(), True
    yield "a.pdf", b"%PDF-1.7\n%\xe2\xe3", True
    yield "picture.jsonl", b"\x89PNG\r\n\x1a\n" + bytes(64), True
    for name, schema in (("no rows", pyarrow.schema([("text", pyarrow.string())])), ("no columns", pyarrow.schema([]))):
        empty, stream = io.BytesIO(), io.BytesIO()
        parquet.write_table(schema.empty_table(), empty)
        pyarrow.ipc.new_stream(stream, schema).close()
        yield f"{name}.parquet", empty.getvalue(), True
        yield f"{name}.arrow", stream.getvalue(), True
    odd = io.BytesIO()
    parquet.write_table(pyarrow.table({"prompt": [b"\xff"], "completion": [1.5], "x": [None]}), odd)
    yield "bytes for text.parquet", odd.getvalue(), True
    yield "only magic.parquet", b"PAR1PAR1", True
    yield "only magic.arrow", b"ARROW1\0\0ARROW1", True
    yield "lying length.parquet", b"PAR1" + bytes(64) + b"\xff\xff\xff\x7fPAR1", True
    yield "lying length.arrow", b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64), True


def _large_contents() -> Iterator[tuple[str, bytes, bool]]:
    long = b"word " * (20 * MiB // 5)
    yield "long line.jsonl", b'{"text": "' + long + b'"}\n', True
    yield "long broken line.jsonl", b'{"text": "' + long, True
    yield "long field.csv", b"text\n" + long + b"\n", True
    yield "long line.txt", long, True
    yield "long without spaces.jsonl", b"{" * (20 * MiB), True
    for name in ("bomb.jsonl.gz", "bomb.json.gz", "bomb.csv.gz", "bomb.txt.gz"):
        yield name, _packed(b'{"text": "' if "json" in name else b"text\n", b"a" * MiB, 300), True
    yield "zeros bomb.jsonl.gz", _packed(b"", bytes(MiB), 300), True
    yield "bomb.jsonl.zst", pyarrow.compress(b'{"text": "' + b"a" * (200 * MiB), codec="zstd", asbytes=True), True


def _special_files(folder: Path) -> Iterator[Spoilt]:
    def at(name: str) -> Path:
        return folder / name

    at("circle.jsonl").symlink_to(at("circle.jsonl"))
    at("there.jsonl").symlink_to(at("back.jsonl"))
    at("back.jsonl").symlink_to(at("there.jsonl"))
    at("gone.jsonl").symlink_to(at("nowhere.jsonl"))
    at("zero.jsonl").symlink_to("/dev/zero")
    os.mkfifo(at("pipe.jsonl"))
    at("to a pipe.jsonl").symlink_to(at("pipe.jsonl"))
    at("folder.jsonl").mkdir()
    (at("folder of pipes")).mkdir()
    os.mkfifo(at("folder of pipes") / "a.jsonl")
    (at("folder in a circle")).mkdir()
    (at("folder in a circle") / "again").symlink_to(at("folder in a circle"))
    (at("mixed folder")).mkdir()
    for name in ("a.jsonl", "b.csv"):
        (at("mixed folder") / name).write_text("{}")
    with sqlite3.connect(at("base.jsonl")) as base:
        base.execute("create table a (b)")
    base.close()
    for name in (
        "circle.jsonl", "there.jsonl", "gone.jsonl", "zero.jsonl", "pipe.jsonl", "to a pipe.jsonl", "folder.jsonl",
        "folder of pipes", "folder in a circle", "mixed folder", "base.jsonl", "nothing.jsonl", "nothing/at/all.jsonl",
        "a\0b.jsonl", "x" * 300 + ".jsonl", "*.nothing", "**/[", "a.jsonl/within.jsonl",
    ):  # fmt: skip
        yield Spoilt(at(name), True)
    if os.geteuid() != 0:
        for name in ("locked.jsonl", "locked folder"):
            at(name).mkdir() if "folder" in name else at(name).write_text('{"text": "a"}')
            at(name).chmod(0)
            yield Spoilt(at(name), True)
            at(name).chmod(0o700)
    # A path is at most 107 bytes long for a socket.
    place = os.getcwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.jsonl")
            yield Spoilt(at("socket.jsonl"), True)
    finally:
        os.chdir(place)


def _lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _packed(start: bytes, piece: bytes, times: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as file:
        file.write(start)
        for _ in range(times):
            file.write(piece)
    return packed.getvalue()


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.jsonl", '{"text": "a"}\n')
    return packed.getvalue()


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        entry = tarfile.TarInfo("a.jsonl")
        entry.size = 14
        file.addfile(entry, io.BytesIO(b'{"text": "a"}\n'))
    return packed.getvalue()
