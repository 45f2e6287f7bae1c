"""The first rows of a hub dataset come without the rest, from every kind of file that can be read in part."""

from __future__ import annotations

import gzip
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftui.data import hub_head
from ftui.data.hub_head import _of_array, _of_lines, _rows
from ftui.data.remote_file import BLOCK
from ftui.errors import BadInput
from ftui.recipe import parse
from ftui.recipe.trainable import planned_only

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "b" * 40
ROWS = [{"prompt": f"question {n}", "completion": f"answer {n} " + "words " * 40} for n in range(20_000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def parquet() -> bytes:
    import pyarrow
    from pyarrow import parquet as writer

    made = io.BytesIO()
    # Words that don't pack well, in many row groups, so that most of the file isn't needed.
    rows = [{**row, "completion": os.urandom(120).hex()} for row in ROWS]
    writer.write_table(pyarrow.Table.from_pylist(rows), made, row_group_size=1000)
    return made.getvalue()


FILES: dict[str, dict[str, bytes]] = {
    "lines": {"train-00000.jsonl": LINES, "train-00001.jsonl": LINES},
    "array": {"train.json": json.dumps(ROWS).encode()},
    "packed": {"train.jsonl.gz": gzip.compress(LINES, 0)},
    "table": {"train.csv": ("prompt,completion\n" + '"a\nb","c"\n' * 200_000).encode()},
    "whole": {"train.arrow": b"ARROW1" + bytes(100)},
    "short": {"train-00000.jsonl": LINES[:1000].rpartition(b"\n")[0] + b"\n", "train-00001.jsonl": LINES},
}


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as reading in part needs; it counts what it sends."""

    protocol_version = "HTTP/1.1"
    sent = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/datasets/owner/"):
            files = FILES[path.split("/")[4]]
            info = {"id": "owner/x", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files], "tags": []}
            self.send(200, {}, json.dumps(info).encode())
            return
        _, _, _, name, _, commit, file = path.split("/", 6)
        body = FILES[name][file]
        assert commit == COMMIT
        asked = self.headers.get("Range")
        if asked is None:
            self.send(200, {}, body)
            return
        start, _, end = asked.removeprefix("bytes=").partition("-")
        part = body[int(start) : int(end) + 1]
        type(self).sent += len(part)
        self.send(206, {"Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{len(body)}"}, part)

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output quiet."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    FILES["columns"] = {"train.parquet": parquet()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def show(name: str, endpoint: str, *options: str, offline: bool = False) -> tuple[dict[str, Any], str]:
    """`ftui data show` in a process of its own: huggingface_hub reads its settings when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "1" if offline else "0"}
    command = [sys.executable, "-m", "ftui.cli.main", "data", "show", f"owner/{name}", "--json", *options]
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120)
    return json.loads(shown.stdout), shown.stderr


@pytest.mark.parametrize(
    "name", ["lines", *(pytest.param(name, marks=pytest.mark.slow) for name in ("array", "packed", "table", "columns"))]
)
def test_of_a_large_file_only_the_blocks_with_the_first_rows_come(hub: str, name: str, own_home: Path) -> None:
    Hub.sent = 0
    found, said = show(name, hub, "--first", "300")
    assert found["rows"] == 300, said
    whole = sum(map(len, FILES[name].values()))
    assert 0 < Hub.sent <= max(3 * BLOCK, 0.3 * whole) < 0.5 * whole
    Hub.sent = 0
    for offline in (False, True):
        again, said = show(name, hub, "--first", "300", offline=offline)
        assert again == found, said
    assert Hub.sent == 0, "the second time they are here"
    if name == "lines":
        kept = hub_head.taken()
        assert kept > 300 * 100
        assert hub_head.clear() == kept
        assert hub_head.taken() == 0
        _, said = show(name, hub, "--first", "300", offline=True)
        assert "HF_HUB_OFFLINE is set" in said


def test_rows_go_on_in_the_next_file_where_the_first_has_too_few(hub: str) -> None:
    rows = FILES["short"]["train-00000.jsonl"].count(b"\n")
    found, said = show("short", hub, "--first", str(rows + 5))
    assert found["rows"] == rows + 5, said
    assert found["duplicate_rows"] == rows or found["duplicate_rows"] == 5


def test_what_can_not_be_had_in_part_says_so(hub: str) -> None:
    found, said = show("whole", hub, "--first", "3")
    assert "can't be read in part" in said
    assert "error" in found
    found, said = show("lines", hub, "--first", "7", offline=True)
    assert "HF_HUB_OFFLINE is set" in said


def lines_of(text: str, limit: int, suffix: str) -> tuple[str, int]:
    found = list(_of_lines(io.BytesIO(text.encode()), limit, suffix))
    return b"".join(line for _, line in found).decode(), sum(rows for rows, _ in found)


@pytest.mark.parametrize(("text", "suffix", "limit", "wanted"), [
    ("a\nb\nc\n", ".jsonl", 2, ("a\nb\n", 2)),
    ("a\n\nb\nc", ".jsonl", 3, ("a\n\nb\nc", 3)),
    ('h\n"x\ny"\nz\n', ".csv", 1, ('h\n"x\ny"\n', 1)),
    ("h\nx\n", ".csv", 5, ("h\nx\n", 1)),
    ("one\ntwo\nthree\n", ".txt", 2, ("one\ntwo\n", 2)),
])  # fmt: skip
def test_lines_are_taken_as_they_stand(text: str, suffix: str, limit: int, wanted: tuple[str, int]) -> None:
    assert lines_of(text, limit, suffix) == wanted


def test_an_array_is_read_to_the_row_that_is_asked_for_and_no_further() -> None:
    text = json.dumps([{"a": "]" * 100_000}, {"a": [1, {"b": 2}]}, {"c": None}])
    found = [json.loads(line) for _, line in _of_array("x.json", io.BytesIO(text.encode()), 2)]
    assert found == [{"a": "]" * 100_000}, {"a": [1, {"b": 2}]}]
    assert len(list(_of_array("x.json", io.BytesIO(text.encode()), 9))) == 3
    with pytest.raises(BadInput, match="broken after 1 rows"):
        list(_of_array("x.json", io.BytesIO(b'[{"a": 1}, {"a": '), 9))


def test_a_kind_of_file_without_rows_of_its_own_is_refused() -> None:
    with pytest.raises(BadInput, match="can't be read in part"):
        _rows("train.arrow", io.BytesIO(b""), 1)  # type: ignore[arg-type]


def test_streaming_needs_to_know_how_many_rows() -> None:
    found = planned_only(parse("data: {sources: [{path: owner/name, streaming: true}]}"))
    assert found is not None
    assert "limit doesn't say how many" in found[0]
    assert planned_only(parse("data: {sources: [{path: owner/name, streaming: true, limit: 9}]}")) is None
