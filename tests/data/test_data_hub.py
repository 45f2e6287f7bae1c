"""Hub datasets are resolved to their files, and every way in which the hub can fail is one sentence."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftui.data.given import Given
from ftui.data.hub import choose_files, is_hub_dataset
from ftui.data.loading import find_files

ROOT = Path(__file__).resolve().parents[2]
ROWS = b'{"prompt": "q", "completion": "a"}\n{"prompt": "r", "completion": "b"}\n'
COMMIT = "a" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    """Speaks as much of the hub's API as fetching a dataset needs."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, headers, body = self.answer()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        path = self.path.partition("?")[0]
        if "/owner/missing" in path:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if "/owner/gated" in path:
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        if "/owner/broken" in path:
            return 500, {}, b"{}"
        if path.endswith("/revision/nowhere"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        if path.startswith("/api/datasets/owner/script"):
            if "refs" in path:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
            return 200, {}, self.info(["script.py"])
        if path.startswith("/api/datasets/owner/good"):
            return 200, {}, self.info(["README.md", "train.jsonl", "test.jsonl"])
        if path.endswith(f"/resolve/{COMMIT}/train.jsonl"):
            return 200, {"ETag": '"1"', "X-Repo-Commit": COMMIT}, ROWS
        return 404, {"X-Error-Code": "EntryNotFound"}, b"{}"

    def info(self, names: list[str]) -> bytes:
        files = [{"rfilename": name} for name in names]
        return json.dumps({"id": "owner/good", "sha": COMMIT, "siblings": files, "tags": []}).encode()

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output quiet."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def show(ref: str, endpoint: str, *options: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
    """`ftui data show` in a process of its own: huggingface_hub reads its settings when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "1" if offline else "0"}
    command = [sys.executable, "-m", "ftui.cli.main", "data", "show", ref, "--json", *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120)


def test_a_split_is_downloaded_read_and_then_found_offline(hub: str) -> None:
    for offline in (False, True):
        shown = show("owner/good", hub, offline=offline)
        found = json.loads(shown.stdout)
        assert (found["rows"], found["sources"][0]["format"]) == (2, "prompt-completion"), shown.stderr


@pytest.mark.parametrize(
    ("ref", "options", "says"),
    [
        ("owner/missing", (), "There is no dataset owner/missing on the hub"),
        ("owner/gated", (), "Accept its terms at"),
        ("owner/broken", (), "The hub answered 500"),
        ("owner/script", (), "has no JSON, CSV, Parquet or text files"),
        ("owner/good", ("--split", "validation"), "It has: test.jsonl, train.jsonl"),
        ("owner/good", ("--revision", "nowhere"), "has no revision 'nowhere'"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence_with_what_to_do(
    hub: str, ref: str, options: tuple[str, ...], says: str
) -> None:
    shown = show(ref, hub, *options)
    assert shown.returncode == 2
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr
    assert "error" in json.loads(shown.stdout)


def test_no_connection_and_no_permission_to_connect_are_told_apart(hub: str) -> None:
    assert "The hub can't be reached" in show("owner/good", "http://127.0.0.1:1").stderr
    assert "HF_HUB_OFFLINE is set" in show("owner/other", hub, offline=True).stderr


def test_a_configuration_is_named_in_a_field_or_after_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("ftui.paths.hub_cache_dir", lambda: tmp_path)
    snapshot = tmp_path / "datasets--owner--name" / "snapshots" / COMMIT
    for config in ("main", "other"):
        (snapshot / config).mkdir(parents=True)
        (snapshot / config / "train.jsonl").write_text(json.dumps({"text": config}) + "\n")
    for path, config in (("owner/name", "other"), ("owner/name:other", None), ("owner/name:main", "other")):
        assert [file.parent.name for file in find_files(Given(path, config=config))] == ["other"]
    assert [path.parent.name for path in find_files(Given("owner/name"))] == ["main"]


@pytest.mark.parametrize(
    ("names", "split", "config", "chosen"),
    [
        (["data/train-0-of-2.parquet", "data/train-1-of-2.parquet", "data/test-0.parquet"], "train", None,
         ["data/train-0-of-2.parquet", "data/train-1-of-2.parquet"]),
        (["main/train-0.parquet", "socratic/train-0.parquet"], "train", None, ["main/train-0.parquet"]),
        (["main/train-0.parquet", "socratic/train-0.parquet"], "train", "socratic", ["socratic/train-0.parquet"]),
        (["alpaca.json", "README.md"], "train", None, ["alpaca.json"]),
        (["all.jsonl", "test.jsonl"], "train", None, ["all.jsonl"]),
        (["train.jsonl", "train.parquet"], "train", None, ["train.parquet"]),
        (["train.jsonl"], "test", None, []),
        (["constraint.json", "trainer.json"], "test", None, []),
    ],
)  # fmt: skip
def test_the_files_of_a_split_are_found_by_the_hubs_habits(
    names: list[str], split: str, config: str | None, chosen: list[str]
) -> None:
    assert choose_files(names, split, config, {}) == chosen


def test_the_card_says_which_files_a_split_has() -> None:
    card = {
        "configs": [
            {"config_name": "a", "data_files": [{"split": "train", "path": "a/*.json"}]},
            {"config_name": "b", "default": True, "data_files": [{"split": "train", "path": ["b/x.json", "b/y.json"]}]},
        ]
    }
    names = ["a/1.json", "b/x.json", "b/y.json", "b/z.json"]
    assert choose_files(names, "train", None, card) == ["b/x.json", "b/y.json"]
    assert choose_files(names, "train", "a", card) == ["a/1.json"]
    assert choose_files(names, "test", None, card) == []


@pytest.mark.parametrize(
    ("ref", "hub"),
    [("owner/name", True), ("openai/gsm8k:main", True), ("hf://datasets/owner/name/a.json", True), ("name", False),
     ("data/train.jsonl", False), ("./a/b", False), ("/abs/file", False), ("a/b/c", False), ("~/x", False),
     ("a\0/b", False)],
)  # fmt: skip
def test_names_of_datasets_are_told_from_paths(ref: str, hub: bool) -> None:
    assert is_hub_dataset(ref) is hub
