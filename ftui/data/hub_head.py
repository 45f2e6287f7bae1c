"""The first rows of a hub dataset, without the rest of it: `streaming` with a `limit`.

They are kept as files of their own under the cache folder, by the dataset's commit, so that every later reading is of
the same rows, also offline.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ftui.data.remote_file import RemoteFile
from ftui.errors import BadInput
from ftui.files import make_folder
from ftui.paths import cache_dir
from ftui.units import KiB, MiB, plain

_LINES = (".jsonl", ".ndjson", ".csv", ".tsv", ".txt")
_LONGEST_ROW = 64 * MiB
_CHARACTERS = 64 * KiB


def head_of(repository: str, files: Sequence[str], commit: str, rows: int) -> list[Path]:
    """Local files with the first `rows` rows of the hub's `files`, fetched where they aren't here yet.

    Raises BadInput for files that can't be read in part, and what the hub raises.
    """
    target = _folder(repository, files, rows) / commit
    if not target.is_dir():
        make_folder(target.parent)
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
        try:
            _fetch(repository, files, commit, rows, aside)
            os.rename(aside, target)
        except OSError:
            # Another process was quicker, or the disk is full.
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return sorted(target.iterdir())


def _folder(repository: str, files: Sequence[str], rows: int) -> Path:
    asked = hashlib.sha256(json.dumps([repository, list(files), rows]).encode()).hexdigest()[:16]
    return _home() / f"{repository.replace('/', '--')}-{asked}" / "snapshots"


def _home() -> Path:
    return cache_dir() / "heads"


def taken() -> int:
    """How many bytes of this disk the first rows of all datasets take."""
    return sum(path.stat().st_size for path in _home().rglob("*") if path.is_file())


def clear() -> int:
    """Remove them all; how many bytes that were."""
    found = taken()
    shutil.rmtree(_home(), ignore_errors=True)
    return found


def remember(key: Sequence[object], repository: str, files: Sequence[str], commit: str, rows: int) -> None:
    """Note what a request led to, for when the hub can't be asked."""
    from ftui.files import write_atomic

    found = {"repository": repository, "files": list(files), "commit": commit, "rows": rows}
    write_atomic(_note(key), json.dumps(found))


def remembered(key: Sequence[object]) -> list[Path] | None:
    """The files that an earlier request of the same key led to; None where there was none, or they are gone."""
    try:
        found = json.loads(_note(key).read_bytes())
        return sorted((_folder(found["repository"], found["files"], found["rows"]) / found["commit"]).iterdir()) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(key: Sequence[object]) -> Path:
    return _home() / f"{hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:24]}.json"


def _fetch(repository: str, files: Sequence[str], commit: str, rows: int, folder: Path) -> None:
    """Write the first `rows` rows into `folder`, file by file until there are enough."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    left = rows
    for number, name in enumerate(files):
        if left <= 0:
            break
        url = hf_hub_url(repository, name, repo_type="dataset", revision=commit)
        with RemoteFile(url, build_hf_headers()) as remote:
            suffix, lines = _rows(name, remote, left)
            written = 0
            with open(folder / f"{number:05}{suffix}", "wb") as file:
                for row, line in lines:
                    file.write(line)
                    written += row
        left -= written


def _rows(name: str, remote: RemoteFile, limit: int) -> tuple[str, Iterator[tuple[int, bytes]]]:
    """The suffix that the rows are written under, and their lines, each with how many rows it completes."""
    inner = name.lower()
    stream: Any = io.BufferedReader(remote, 64 * KiB)
    if inner.endswith(".gz"):
        import gzip

        inner, stream = inner.removesuffix(".gz"), gzip.GzipFile(fileobj=stream)
    elif inner.endswith(".zst"):
        import pyarrow

        inner, stream = inner.removesuffix(".zst"), io.BufferedReader(pyarrow.CompressedInputStream(stream, "zstd"))
    suffix = Path(inner).suffix
    if suffix == ".parquet":
        return ".jsonl", _of_parquet(name, stream, limit)
    if suffix == ".json":
        start = stream.peek(_CHARACTERS) if hasattr(stream, "peek") else b""
        if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
            return ".jsonl", _of_array(name, stream, limit)
        suffix = ".jsonl"
    if suffix not in _LINES:
        raise BadInput(f"{plain(name)} can't be read in part.", "Leave out streaming, and it is downloaded whole.")
    return suffix, _of_lines(stream, limit, suffix)


def _of_lines(stream: BinaryIO, limit: int, suffix: str) -> Iterator[tuple[int, bytes]]:
    """Lines as they stand; of CSV the header as well, and a quoted field with its line breaks."""
    rows, opened, blank_seen = (-1 if suffix in (".csv", ".tsv") else 0), False, False
    while rows < limit and (line := stream.readline(_LONGEST_ROW)):
        if suffix in (".csv", ".tsv"):
            opened ^= line.count(b'"') % 2 == 1
            done = not opened and bool(line.strip())
        elif suffix == ".txt":
            # Blocks between blank lines are documents; without a blank line, lines are.
            blank_seen |= rows > 0 and not line.strip()
            done = not line.strip() if blank_seen else bool(line.strip())
        else:
            done = bool(line.strip())
        rows += done
        yield int(done and rows > 0), line


def _of_array(name: str, stream: BinaryIO, limit: int) -> Iterator[tuple[int, bytes]]:
    """The first elements of a JSON array."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace")
    window, rows, decoder = text.read(_CHARACTERS).lstrip()[1:], 0, json.JSONDecoder()
    while rows < limit:
        window = window.lstrip(" \t\r\n,")
        if window.startswith("]"):
            return
        try:
            row, end = decoder.raw_decode(window)
        except ValueError:
            more = text.read(max(_CHARACTERS, len(window)))
            if not more or len(window) > _LONGEST_ROW:
                what = f"{plain(name)} is broken after {rows} rows."
                raise BadInput(what, "Leave out streaming to see where.") from None
            window += more
            continue
        window, rows = window[end:], rows + 1
        yield 1, _line(row)


def _of_parquet(name: str, stream: BinaryIO, limit: int) -> Iterator[tuple[int, bytes]]:
    """The first rows, by those row groups alone in which they stand."""
    import pyarrow
    from pyarrow import parquet

    rows = 0
    try:
        with parquet.ParquetFile(stream, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=min(limit, 1000), use_threads=False):
                for row in batch.to_pylist():
                    if rows == limit:
                        return
                    rows += 1
                    yield 1, _line(row)
    except pyarrow.ArrowException as error:
        reason = plain(str(error).strip().partition("\n")[0][:200])
        raise BadInput(f"{plain(name)} is a broken Parquet file: {reason}.", "Look at it on the hub's page.") from None


def _line(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=_spelled).encode("utf-8", "replace") + b"\n"


def _spelled(value: Any) -> Any:
    """Dates as ISO writes them; bytes, which no format of rows reads, as nothing."""
    if isinstance(value, bytes):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
