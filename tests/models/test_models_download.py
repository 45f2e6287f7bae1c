"""Downloading through a local hub: whole, resumed, interrupted, out of space, damaged."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import hf_hub_download

from ftui import paths
from ftui.errors import BadInput, Refused
from ftui.models import describe, download, fetch, locate

SHARD = "model-00002-of-00002.safetensors"


def test_a_download_is_whole_where_every_library_finds_it(hub: Any, snapshot_of: Callable[[str, str], Path]) -> None:
    seen: list[tuple[int, int]] = []
    folder = download("tiny/llama", on_progress=lambda done, total: seen.append((done, total)))
    repo = hub.repos["tiny/llama"]
    assert folder == snapshot_of("tiny/llama", repo.sha) == locate("tiny/llama")
    names = {path.name for path in folder.rglob("*") if not path.is_dir()}
    assert names == {
        "config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "README.md",
        *hub.weights("tiny/llama"),
    }
    for name in names:
        assert (folder / name).read_bytes() == repo.files[name]
    assert seen[-1][0] == seen[-1][1] == sum(len(repo.files[name]) for name in names)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_huggingface_hub_itself_finds_the_download(hub: Any) -> None:
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    folder = download("tiny/llama")
    cache = paths.hub_cache_dir()
    assert try_to_load_from_cache("tiny/llama", "config.json", cache_dir=cache) == str(folder / "config.json")
    found = snapshot_download("tiny/llama", cache_dir=cache, local_files_only=True)
    assert Path(found) == folder


def test_what_is_here_is_not_asked_for_again_even_offline(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = download("tiny/llama")
    hub.requests.clear()
    assert download("tiny/llama") == folder
    shape = describe("tiny/llama")
    assert (shape.path, shape.source) == (str(folder), "hub")
    assert not hub.requests
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download("tiny/llama") == folder


def test_a_dropped_connection_is_resumed_where_it_broke(hub: Any) -> None:
    size = len(hub.weights("tiny/llama")[SHARD])
    hub.drop[SHARD] = [size // 3, size // 4, 0]
    folder = download("tiny/llama")
    assert (folder / SHARD).read_bytes() == hub.weights("tiny/llama")[SHARD]
    ranges = [headers.get("range") for method, _, headers in hub.sent(f"cdn/tiny/llama/{SHARD}") if method == "GET"]
    assert ranges == [None, f"bytes={size // 3}-", f"bytes={size // 3 + size // 4}-", f"bytes={size // 3 + size // 4}-"]


def test_a_broken_download_keeps_what_came_and_goes_on_the_next_time(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(hub.weights("tiny/llama")[SHARD])
    monkeypatch.setattr(fetch, "TRIES", 2)
    hub.drop[SHARD] = [size // 2] + [0] * 9
    with pytest.raises(Refused, match="can't be reached"):
        download("tiny/llama")
    assert locate("tiny/llama") is None
    hub.drop.clear()
    hub.requests.clear()
    download("tiny/llama")
    gets = [headers.get("range") for method, _, headers in hub.sent(f"cdn/tiny/llama/{SHARD}") if method == "GET"]
    assert gets == [f"bytes={size // 2}-"]


def test_a_server_without_ranges_is_served_from_the_start(hub: Any) -> None:
    hub.ranges = False
    hub.drop[SHARD] = [1000]
    assert (download("tiny/llama") / SHARD).read_bytes() == hub.weights("tiny/llama")[SHARD]


def test_a_stop_keeps_what_came(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.2)
    asked = SimpleNamespace(stop=False)
    hub.on_send = lambda name: setattr(asked, "stop", asked.stop or name == SHARD)
    hub.drop[SHARD] = [1000] + [0] * 50
    with pytest.raises(fetch.Stopped):
        download("tiny/llama", should_stop=lambda: asked.stop)
    hub.on_send = None
    hub.drop.clear()
    assert locate("tiny/llama") is None
    hub.requests.clear()
    assert download("tiny/llama") == locate("tiny/llama")
    assert [h.get("range") for m, _, h in hub.sent(f"cdn/tiny/llama/{SHARD}") if m == "GET"] == ["bytes=1000-"]


def test_damaged_bytes_are_fetched_again_and_then_refused(hub: Any) -> None:
    hub.corrupt.add(SHARD)
    with pytest.raises(Refused, match=f"{SHARD} of tiny/llama arrived damaged twice"):
        download("tiny/llama")
    assert locate("tiny/llama") is None
    hub.corrupt.clear()
    assert download("tiny/llama")


def test_a_partial_file_of_other_content_does_no_harm(hub: Any) -> None:
    blobs = fetch.repo_folder("tiny/llama") / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub.repos['tiny/llama'].etag(SHARD)}.incomplete").write_bytes(b"?" * 500)
    assert (download("tiny/llama") / SHARD).read_bytes() == hub.weights("tiny/llama")[SHARD]


def test_no_space_is_found_out_before_anything_is_fetched(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    with pytest.raises(Refused, match=r"needs .* but the disk of .* has 10 KiB free") as caught:
        download("tiny/llama")
    assert "HF_HOME" in (caught.value.hint or "")
    assert not hub.sent("/resolve/")


def test_a_disk_that_fills_up_on_the_way_is_said(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, file: Any, start: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch.Fetcher, "_stream", full)
    with pytest.raises(Refused, match="The disk is full"):
        download("tiny/llama")


def test_gated_missing_and_weightless_models_are_refused_at_once(hub: Any) -> None:
    hub.add("tiny/gated", gated=True)
    with pytest.raises(Refused, match="gated"):
        download("tiny/gated")
    assert not hub.sent("/cdn/")
    with pytest.raises(BadInput, match="no model tiny/none"):
        download("tiny/none")
    hub.add("tiny/bare", {"config.json": b"{}"})
    with pytest.raises(BadInput, match="no weights"):
        download("tiny/bare")


def test_pickled_weights_are_taken_only_where_there_are_no_others(hub: Any) -> None:
    files = {name: data for name, data in hub.files().items() if "safetensors" not in name}
    hub.add("tiny/pickled", files)
    folder = download("tiny/pickled")
    assert (folder / "pytorch_model.bin").is_file()
    assert any("pickled" in note for note in describe("tiny/pickled").notes)


def test_a_local_folder_needs_no_download(hub: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(download("tiny/llama"), tmp_path / "copy")
    assert download(str(folder)) == folder
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(BadInput, match="no tokenizer"):
        download(str(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_said(hub: Any) -> None:
    cache = paths.hub_cache_dir()
    cache.mkdir(parents=True)
    cache.chmod(0o500)
    with pytest.raises(Refused, match="can't be written"):
        download("tiny/llama")


def test_a_stop_is_heard_while_another_process_holds_the_file(hub: Any) -> None:
    from huggingface_hub.utils import WeakFileLock

    lock = paths.hub_cache_dir() / ".locks" / "models--tiny--llama" / f"{hub.repos['tiny/llama'].etag(SHARD)}.lock"
    lock.parent.mkdir(parents=True)
    began = time.monotonic()
    with WeakFileLock(lock), pytest.raises(fetch.Stopped):
        download("tiny/llama", should_stop=lambda: time.monotonic() - began > 0.3)
    assert time.monotonic() - began < 3
    assert download("tiny/llama")


def test_two_downloads_at_once_fetch_each_file_once(hub: Any) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(download, ["tiny/llama", "tiny/llama"])
    assert first == second == locate("tiny/llama")
    assert len([1 for method, _, _ in hub.sent("/cdn/") if method == "GET"]) == 2


def test_a_file_too_large_for_plain_http_is_left_to_the_hubs_own_transfer(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def theirs(ref: str, name: str, **rest: Any) -> str:
        asked.append(name)
        return hf_hub_download(ref, name, **rest)

    monkeypatch.setattr(fetch, "PLAIN_LIMIT", 1000)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", theirs)
    assert download("tiny/llama") == locate("tiny/llama")
    assert set(asked) == {*hub.weights("tiny/llama"), "model.safetensors.index.json"}
