"""Downloading a model into huggingface_hub's cache, so that what arrived is kept whatever interrupts it.

huggingface_hub 2 throws a partial file away when its process ends, which costs gigabytes on a shaky line.  Here each
file grows as `blobs/<etag>.incomplete` under the hub's own lock, goes on from where it stopped (HTTP range), is checked
against its hash, and only then takes its name.  The layout is the hub's, so that every library finds the result.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui import paths
from ftui.errors import BadInput, Refused
from ftui.models import hub, local
from ftui.models.known import hub_id

Progress = Callable[[int, int], None]
Stop = Callable[[], bool]

CONNECTIONS = 4
CHUNK = 1 << 20
TRIES = 6
"""Attempts in a row without a single new byte before a download gives up."""
SPARE = 256 << 20
"""Bytes that must stay free beyond the download itself."""
PLAIN_LIMIT = 50 * 1000**3
"""Bytes; the hub doesn't serve larger files over plain HTTP (`MAX_HTTP_DOWNLOAD_SIZE` in huggingface_hub)."""
READ_TIMEOUT = 30.0
PAUSE = 0.25
"""Seconds before the first new attempt; doubled with each further one, 8 at most."""

KEPT = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".safetensors")
HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""git's sha1, or sha256."""
CARD = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "USE_POLICY.md", "Notice", "NOTICE")
LEFT_OUT = ("consolidated", "adapter_", "training_args", "optimizer", "scheduler", "flax_", "tf_model", "rust_model")


class Stopped(Exception):
    """The download was asked to stop; what arrived is kept."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a revision: its size in bytes and the hash that names its blob (sha256 for LFS, else git's sha1)."""

    name: str
    size: int
    etag: str
    lfs: bool


def download(
    ref: str, revision: str | None = None, on_progress: Progress | None = None, should_stop: Stop | None = None
) -> Path:
    """The folder that holds the model `ref`, complete and checked; fetched from the hub as far as it isn't here.

    `on_progress(done, total)` in bytes and `should_stop()` are called from this thread, a few times a second.
    Raises Stopped when told to stop, Refused or BadInput in one sentence for gated, missing, offline, no space.
    """
    ref = ref.strip()
    if (present := _already_here(ref, revision)) is not None:
        return present
    ref = hub_id(ref)
    hub.check_id(ref)
    try:
        info = hub.api().model_info(ref, revision=revision, files_metadata=True, timeout=hub.TIMEOUT)
        return fetch(ref, info, wanted(files_of(info)), revision, on_progress, should_stop)
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001  # whatever the hub's client throws becomes one sentence
        raise hub.explain(error, ref, revision) from None


def _already_here(ref: str, revision: str | None) -> Path | None:
    from ftui.models.config import is_path
    from ftui.models.lookup import DEMO, describe, locate

    if ref == DEMO:
        from ftui.models.demo import ensure_folder

        return ensure_folder()
    if is_path(ref):
        describe(ref)
        if (folder := locate(ref)) is None:
            raise BadInput(f"{ref} holds a config but no weights or no tokenizer.", "Give the hub id to download it.")
        return folder
    return locate(ref, revision)


def files_of(info: Any) -> list[RemoteFile]:
    """The files of a `model_info(..., files_metadata=True)`; what could not be a file of a repository is left out, for
    their names and hashes become names on this disk."""
    found = [
        RemoteFile(each.rfilename, each.lfs.size if each.lfs else each.size or 0,
                   each.lfs.sha256 if each.lfs else each.blob_id or "", each.lfs is not None)
        for each in info.siblings or ()
    ]
    return [each for each in found if HASH.fullmatch(each.etag) and _stays_inside(each.name)]


def _stays_inside(name: str) -> bool:
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


def wanted(files: Iterable[RemoteFile]) -> list[RemoteFile]:
    """What training needs: config, tokenizer, licence, and one set of weights (pickled ones only if there is no other).

    Other formats (GGUF, ONNX, Flax, the maker's own), sub-folders and Python code stay on the hub.
    """
    top = [each for each in files if "/" not in each.name or each.name.startswith("additional_chat_templates/")]
    kept = [each for each in top if each.name in CARD or (
        each.name.endswith(KEPT) and not each.name.startswith(LEFT_OUT))]
    if not any(each.name.endswith(".safetensors") for each in kept):
        kept += [each for each in top if each.name.startswith("pytorch_model") and each.name.endswith(".bin")]
    else:
        kept = [each for each in kept if not each.name.endswith(".bin.index.json")]
    return kept


def repo_folder(ref: str) -> Path:
    """The model's folder in the hub's cache."""
    return paths.hub_cache_dir() / ("models--" + ref.replace("/", "--"))


def ref_file(folder: Path, revision: str | None) -> Path:
    """Where the hub's cache keeps which commit a branch or tag of a repository in `folder` is.

    Raises BadInput for a revision whose file would lie elsewhere: it comes from recipes.
    """
    if revision is not None and not _stays_inside(revision):
        raise BadInput(f"{revision[:100]!r} is no branch, tag or commit.", "Leave model.revision out for the newest.")
    return folder / "refs" / (revision or "main")


def fetch(
    ref: str, info: Any, files: list[RemoteFile], revision: str | None, on_progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> Path:
    """Bring `files` of the revision `info` describes into the cache; returns the snapshot folder."""
    if not any(each.name == "config.json" for each in files):
        raise BadInput(f"{ref} holds no config.json, so it is no model for transformers.", f"See {hub.page(ref)}.")
    if not any(each.name.endswith((".safetensors", ".bin")) for each in files):
        raise BadInput(f"{ref} holds no weights that can be trained (safetensors).", f"See {hub.page(ref)}.")
    fetcher = Fetcher(ref, str(info.sha))
    done, total = fetcher.run(files, on_progress, should_stop)
    snapshot = fetcher.link(files, revision)
    if on_progress:
        on_progress(done, total)
    from ftui.models.headers import read_checkpoint

    read_checkpoint(snapshot)
    if not local.whole(snapshot):
        raise Refused(f"{ref} arrived, but holds no tokenizer.", f"See {hub.page(ref)} for where its tokenizer is.")
    return snapshot


class Fetcher:
    """Brings the files of one commit into the cache, several at a time."""

    def __init__(self, ref: str, commit: str) -> None:
        if not HASH.fullmatch(commit):
            raise Refused(f"The hub names no commit of {ref}: {commit[:60]!r}.", "Is HF_ENDPOINT what it should be?")
        self.ref, self.commit = ref, commit
        self.folder = repo_folder(ref)
        self.blobs = self.folder / "blobs"
        self._done: dict[str, int] = {}
        self._halt = threading.Event()

    def run(
        self, files: list[RemoteFile], on_progress: Progress | None = None, should_stop: Stop | None = None
    ) -> tuple[int, int]:
        """Fetch what is missing; returns (bytes there, bytes in all).  Checks the disk's space first."""
        total = sum(each.size for each in files)
        self._done = {each.etag: self.present(each) for each in files}
        self._check_space(total - sum(self._done.values()))
        self.blobs.mkdir(parents=True, exist_ok=True)
        pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="download")
        order = sorted(files, key=lambda each: each.size)  # small ones first: a gated model fails at once
        tasks = {pool.submit(self.file, each) for each in order}
        try:
            while tasks:
                finished, tasks = wait(tasks, timeout=0.25, return_when=FIRST_EXCEPTION)
                if on_progress:
                    on_progress(sum(self._done.values()), total)
                _raise_first(finished)
                if should_stop and should_stop():
                    raise Stopped
        finally:
            self._halt.set()
            pool.shutdown(wait=True, cancel_futures=True)
        return sum(self._done.values()), total

    def present(self, file: RemoteFile) -> int:
        """How many of the file's bytes are already on this disk."""
        if (self.blobs / file.etag).is_file():
            return file.size
        partial = self._partial(file)
        return min(partial.stat().st_size, file.size) if partial.is_file() else 0

    def file(self, file: RemoteFile) -> Path:
        """One file's blob, complete and checked.  Raises what the hub's client raises."""
        blob = self.blobs / file.etag
        if file.size > PLAIN_LIMIT and not blob.is_file():
            return self._by_the_hub(file)
        with self._alone_with(file):
            for attempt in (1, 2):
                if blob.is_file():
                    self._done[file.etag] = file.size
                    return blob
                self._grow(file)
                if _hash(self._partial(file), file) == file.etag:
                    os.replace(self._partial(file), blob)
                elif attempt == 1:  # an old partial of other content, or a bad line: once more from the start
                    self._partial(file).unlink()
                    self._done[file.etag] = 0
            if not blob.is_file():
                self._partial(file).unlink()
                raise Refused(
                    f"The file {file.name} of {self.ref} arrived damaged twice.",
                    "Check network and disk, and try again.",
                )
        return blob

    def _by_the_hub(self, file: RemoteFile) -> Path:
        """A file too large for plain HTTP: huggingface_hub's own transfer (Xet), which can't be resumed or stopped."""
        from huggingface_hub import hf_hub_download

        hf_hub_download(
            self.ref, file.name, revision=self.commit, cache_dir=paths.hub_cache_dir(), endpoint=hub.endpoint()
        )
        self._done[file.etag] = file.size
        return self.blobs / file.etag

    @contextlib.contextmanager
    def _alone_with(self, file: RemoteFile) -> Iterator[None]:
        """Hold the hub's own lock on the file; while another process has it, show how far that is."""
        from filelock import Timeout
        from huggingface_hub.utils import WeakFileLock

        lock = paths.hub_cache_dir() / ".locks" / self.folder.name / f"{file.etag}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(WeakFileLock(str(lock), timeout=0.5))
                    break
                except Timeout:
                    self._done[file.etag] = self.present(file)
                    if self._halt.is_set():
                        raise Stopped from None
            yield

    def _grow(self, file: RemoteFile) -> None:
        import httpx2

        idle = 0
        while True:
            before = self._size(file)
            if before >= file.size and file.size:
                return
            try:
                self._stream(file, before)
            except httpx2.TransportError:
                idle = 0 if self._size(file) > before else idle + 1
                if idle >= TRIES:
                    raise
                self._pause(min(PAUSE * 2.0**idle, 8.0))
                continue
            if self._size(file) >= file.size:
                return
            idle += 1
            if idle >= TRIES:
                raise httpx2.RemoteProtocolError(f"{file.name} ends early")

    def _stream(self, file: RemoteFile, start: int) -> None:
        """Append what the hub sends from byte `start` on."""
        from huggingface_hub import get_hf_file_metadata, get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        url = hf_hub_url(self.ref, file.name, revision=self.commit, endpoint=hub.endpoint())
        found = get_hf_file_metadata(url, timeout=hub.TIMEOUT, endpoint=hub.endpoint())
        headers = {"Accept-Encoding": "identity"}
        if _same_host(url, found.location):
            headers |= build_hf_headers(library_name="ftui")
        if start:
            headers["Range"] = f"bytes={start}-"
        with get_session().stream("GET", found.location, headers=headers, timeout=READ_TIMEOUT) as response:
            if response.status_code >= 400:
                response.read()
            hf_raise_for_status(response)
            resumed = response.status_code == 206
            with self._partial(file).open("ab" if resumed else "wb") as target:
                self._done[file.etag] = start if resumed else 0
                for chunk in response.iter_bytes():  # as they come: what a drop leaves behind is on disk
                    target.write(chunk)
                    self._done[file.etag] += len(chunk)
                    if self._halt.is_set():
                        raise Stopped

    def _pause(self, seconds: float) -> None:
        if self._halt.wait(seconds):
            raise Stopped

    def _partial(self, file: RemoteFile) -> Path:
        return self.blobs / f"{file.etag}.incomplete"

    def _size(self, file: RemoteFile) -> int:
        partial = self._partial(file)
        return partial.stat().st_size if partial.is_file() else 0

    def _check_space(self, needed: int) -> None:
        where = self.folder
        while not where.exists():
            where = where.parent
        free = shutil.disk_usage(where).free
        if needed and needed + SPARE > free:
            raise hub.no_space(paths.hub_cache_dir(), needed + SPARE, free)

    def link(self, files: Iterable[RemoteFile], revision: str | None) -> Path:
        """Give the blobs their names in the commit's snapshot, and the revision its commit; returns the snapshot."""
        from ftui.files import write_atomic

        snapshot = self.folder / "snapshots" / self.commit
        for file in files:
            pointer = snapshot / file.name
            pointer.parent.mkdir(parents=True, exist_ok=True)
            if pointer.exists():
                continue
            pointer.unlink(missing_ok=True)
            blob = self.blobs / file.etag
            try:
                pointer.symlink_to(os.path.relpath(blob, pointer.parent))
            except OSError:  # a file system without symbolic links
                shutil.copyfile(blob, pointer)
        if revision != self.commit:
            write_atomic(ref_file(self.folder, revision), self.commit, mode=0o644)
        return snapshot


def _raise_first(finished: Iterable[Future[Path]]) -> None:
    for task in finished:
        if (error := task.exception()) is not None:
            raise error


def _same_host(url: str, other: str) -> bool:
    """Whether the login may be sent along: signed addresses of a content network need and get none."""
    from urllib.parse import urlsplit

    return urlsplit(url)[:2] == urlsplit(other)[:2]


def _hash(path: Path, file: RemoteFile) -> str:
    """The file's blob name computed from its content: sha256 for LFS, git's sha1 for the rest."""
    digest = hashlib.sha256() if file.lfs else hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
