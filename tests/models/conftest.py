"""A hub of our own: a local HTTP server that speaks the endpoints ftui uses, with tiny generated models."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from ftui.models import families

TOKEN = "hf_SecretSecretSecretSecret0123456789"
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 300, "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "torch_dtype": "bfloat16",
}


def product(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


def safetensors(tensors: list[tuple[str, tuple[int, ...]]], dtype: str = "BF16", width: int = 2, fill: int = 0
                ) -> bytes:
    """A safetensors file of constant bytes."""
    header, at = {}, 0
    for name, shape in tensors:
        size = product(shape) * width
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes([fill]) * at


def model_files(config: dict[str, Any] | None = None, shards: int = 2) -> dict[str, bytes]:
    """The files of a whole model in `shards` weight files, with what else repositories hold."""
    config = config or LLAMA
    every = families.tensors(config if config["model_type"] in families.FAMILIES else {**config, "model_type": "llama"})
    size = -(-len(every) // shards)
    parts = [every[index:index + size] for index in range(0, len(every), size)]
    names = [f"model-{index:05}-of-{len(parts):05}.safetensors" for index in range(1, len(parts) + 1)]
    index = {"metadata": {}, "weight_map": {t: n for n, part in zip(names, parts, strict=True) for t, _ in part}}
    files = {name: safetensors(part, fill=number) for number, (name, part) in enumerate(zip(names, parts, strict=True))}
    return {
        "config.json": json.dumps(config).encode(), "model.safetensors.index.json": json.dumps(index).encode(),
        "tokenizer.json": b'{"version": "1.0"}', "tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
        "README.md": b"---\nlicense: apache-2.0\n---\n", ".gitattributes": b"*", "pytorch_model.bin": b"pickle",
        "onnx/model.onnx": b"onnx" * 100, "original/consolidated.00.pth": b"x" * 100, **files,
    }


@dataclass
class Repo:
    """One model on the hub."""

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    licence: str = "apache-2.0"
    downloads: int = 10
    tags: tuple[str, ...] = ()

    @property
    def sha(self) -> str:
        return hashlib.sha1(b"".join(name.encode() + data for name, data in sorted(self.files.items()))).hexdigest()

    def etag(self, name: str) -> str:
        data = self.files[name]
        if self.lfs(name):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def lfs(self, name: str) -> bool:
        return name.endswith((".safetensors", ".bin", ".onnx", ".pth"))


@dataclass
class Hub:
    """The server's state, and the faults that a test orders."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    drop: dict[str, list[int]] = field(default_factory=dict)
    """For a file's name: after how many bytes to hang up, one number for each coming answer."""
    status: int | None = None
    delay: float = 0.0
    ranges: bool = True
    corrupt: set[str] = field(default_factory=set)
    on_send: Callable[[str], None] | None = None
    """Called with the file's name before its bytes are sent."""

    token = TOKEN

    def add(self, name: str, files: dict[str, bytes] | None = None, **more: Any) -> Repo:
        """Put a model on the hub."""
        self.repos[name] = Repo(model_files() if files is None else files, **more)
        return self.repos[name]

    def files(self, config: dict[str, Any] | None = None, shards: int = 2) -> dict[str, bytes]:
        """The files of a whole model."""
        return model_files({**LLAMA, **(config or {})}, shards)

    def weights(self, name: str) -> dict[str, bytes]:
        """The weight files of a model on the hub."""
        return {file: data for file, data in self.repos[name].files.items() if file.endswith(".safetensors")}

    def sent(self, text: str) -> list[tuple[str, str, dict[str, str]]]:
        return [request for request in self.requests if text in request[1]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        hub = self.hub
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        hub.requests.append((self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
        if hub.delay:
            threading.Event().wait(hub.delay)
        if hub.status:
            return self.reply(hub.status, b"sorry", body=body)
        if path == "/api/models":
            return self.listing(parse_qs(parts.query), body)
        if path.startswith("/api/models/"):
            return self.info(path.removeprefix("/api/models/"), body)
        if path.startswith("/cdn/"):
            return self.content(path.removeprefix("/cdn/"), body)
        return self.resolve(path.lstrip("/"), body)

    def reply(self, status: int, data: bytes = b"", body: bool = True, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            # A download that is stopped hangs up, which the server would print a traceback of.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(data)

    def missing(self, body: bool) -> None:
        self.reply(401, b"{}", body, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")

    def allowed(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def listing(self, query: dict[str, list[str]], body: bool) -> None:
        words, limit = query.get("search", [""])[0].lower(), int(query.get("limit", ["20"])[0])
        found = [self.described(name, repo) for name, repo in self.hub.repos.items() if words in name.lower()]
        found.sort(key=lambda each: -each["downloads"])
        self.reply(200, json.dumps(found[:limit]).encode(), body, Content_Type="application/json")

    def described(self, name: str, repo: Repo) -> dict[str, Any]:
        weights = sum(len(data) for file, data in repo.files.items() if file.endswith(".safetensors"))
        return {
            "id": name, "sha": repo.sha, "downloads": repo.downloads, "likes": 3,
            "gated": "manual" if repo.gated else False,
            "tags": ["text-generation", f"license:{repo.licence}", *repo.tags], "cardData": {"license": repo.licence},
            "safetensors": {"parameters": {"BF16": weights // 2}, "total": weights // 2} if weights else None,
            "siblings": [
                {"rfilename": file, "size": len(data), "blobId": repo.etag(file), **({"lfs": {
                    "size": len(data), "sha256": repo.etag(file), "pointerSize": 130,
                }} if repo.lfs(file) else {})} for file, data in repo.files.items()
            ],
        }

    def info(self, rest: str, body: bool) -> None:
        name, _, revision = rest.partition("/revision/")
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not self.allowed()):
            return self.missing(body)
        if revision and revision not in ("main", repo.sha):
            return self.reply(404, b"{}", body, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        self.reply(200, json.dumps(self.described(name, repo)).encode(), body, Content_Type="application/json")

    def resolve(self, rest: str, body: bool) -> None:
        name, _, tail = rest.partition("/resolve/")
        revision, _, file = tail.partition("/")
        repo = self.hub.repos.get(name)
        if repo is None or revision not in ("main", repo.sha):
            return self.missing(body)
        if repo.gated and not self.allowed():
            return self.reply(401, b"{}", body, X_Error_Code="GatedRepo")
        if file not in repo.files:
            return self.reply(404, b"{}", body, X_Error_Code="EntryNotFound", X_Repo_Commit=repo.sha)
        data, etag = repo.files[file], repo.etag(file)
        common = {"X_Repo_Commit": repo.sha, "ETag": f'"{etag}"'}
        if repo.lfs(file):
            return self.reply(
                302, b"", body, Location=f"{self.hub.url.replace('127.0.0.1', 'localhost')}/cdn/{name}/{file}",
                X_Linked_Etag=f'"{etag}"', X_Linked_Size=str(len(data)), **common,
            )
        self.deliver(file, data, body, common)

    def content(self, rest: str, body: bool) -> None:
        name = next(name for name in self.hub.repos if rest.startswith(name + "/"))
        file = rest.removeprefix(name + "/")
        self.deliver(file, self.hub.repos[name].files[file], body, {})

    def deliver(self, file: str, data: bytes, body: bool, headers: dict[str, str]) -> None:
        if file in self.hub.corrupt:
            data = data[:-1] + b"!"
        status, total = 200, len(data)
        asked = self.headers.get("Range")
        if asked and self.hub.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), int(last) if last else total - 1
            data, status = data[begin:end + 1], 206
            headers = {**headers, "Content_Range": f"bytes {begin}-{begin + len(data) - 1}/{total}"}
        if body and self.hub.on_send:
            self.hub.on_send(file)
        cuts = self.hub.drop.get(file)
        if body and cuts:
            self.reply(status, data[:cuts.pop(0)], True, Content_Length=str(len(data)), **headers)
            self.close_connection = True
            return
        self.reply(status, data, body, **headers)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running hub with `tiny/llama` and the client pointed at it, without a login."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    state = Hub(repos={"tiny/llama": Repo(model_files())})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent/token")
    monkeypatch.setattr("ftui.models.fetch.PAUSE", 0.001)
    assert huggingface_hub.get_token() is None
    yield state
    close_session()
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


@pytest.fixture
def llama() -> dict[str, Any]:
    """The config of `tiny/llama`."""
    return dict(LLAMA)


@pytest.fixture
def snapshot_of() -> Callable[[str, str], Path]:
    """Where the hub's cache puts a commit of a model."""
    from ftui import paths

    return lambda ref, sha: paths.hub_cache_dir() / ("models--" + ref.replace("/", "--")) / "snapshots" / sha
