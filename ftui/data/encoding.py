"""The bytes of a file before they are rows: what kind of file it is, and in which encoding."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ftui.data.unpacking import unpacked_gzip, unpacked_zstd
from ftui.errors import BadInput
from ftui.units import plain

SNIFFED_BYTES = 1 << 16

_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32LE"),
    (b"\x00\x00\xfe\xff", "UTF-32BE"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

_MAGIC = (
    (b"PK\x03\x04", "a zip archive (or an Excel file)", "Unpack it, or save the sheet as CSV (UTF-8)."),
    (b"BZh", "a bzip2 archive", "Unpack it with: bunzip2 -k {path}"),
    (b"\xfd7zXZ\x00", "an xz archive", "Unpack it with: unxz -k {path}"),
    (b"%PDF", "a PDF document", "Extract its text first, such as with pdftotext."),
    (b"SQLite format 3\x00", "an SQLite database", "Export the table to CSV or JSON Lines."),
    (b"\x89PNG", "a PNG image", None),
    (b"\xff\xd8\xff", "a JPEG image", None),
    (b"\x7fELF", "a program", None),
    (b"\x80\x04\x95", "a Python pickle", "ftui never loads pickles; save the rows as JSON Lines."),
    (b"\x80\x05\x95", "a Python pickle", "ftui never loads pickles; save the rows as JSON Lines."),
)

_TAKES = "ftui reads JSON, JSON Lines, CSV, TSV, Parquet, Arrow and plain text."


def name_of(path: Path) -> str:
    """The path for a message: safe for a terminal."""
    return plain(str(path))


def head_of(path: Path) -> bytes:
    """The first bytes of a data file, unpacked where it is packed by gzip or zstd.

    Raises BadInput for what can be no data file: missing, a folder, no permission, empty, a known binary format, or an
    encoding other than UTF-8; the sentence says what it is and how to convert it.
    """
    name = name_of(path)
    try:
        if path.is_dir():
            raise BadInput(f"{name} is a folder, not a file.", _files_in(path))
        if path.is_symlink() and not path.exists():
            raise BadInput(f"{name} is a link to a file that isn't there.", "Name the file itself.")
        if not path.exists():
            raise BadInput(f"There is no file {name}.", _similar_to(path))
        if not path.is_file():
            raise BadInput(f"{name} is no regular file (a pipe or device).", "Save its content to a file first.")
        with open_bytes(path) as file:
            head = file.read(SNIFFED_BYTES)
    except PermissionError:
        raise BadInput(f"No permission to read {name}.", f"Try: chmod u+r {name}") from None
    except (OSError, ValueError) as error:
        # ValueError: a path with a NUL in it.
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{name} can't be read: {reason}.", "Check the path.") from None
    if not head.strip():
        raise BadInput(f"{name} is empty.", "It must hold at least one row.")
    _refuse_other_encodings(path, head)
    return head


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open for reading bytes; gzip and zstd are unpacked on the fly.  Raises BadInput where the archive is broken."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start.startswith(b"\x1f\x8b"):
            with unpacked_gzip(path, file) as unpacked:
                yield unpacked
        elif start == b"\x28\xb5\x2f\xfd":
            with unpacked_zstd(path, file) as unpacked:
                yield unpacked
        else:
            yield file


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open as UTF-8 text, newlines as they are; bytes that aren't UTF-8 become lone surrogates (see `broken_text`)."""
    with open_bytes(path) as file:
        yield io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def broken_text(text: str) -> str | None:
    """Why `text` is no Unicode text, or None.  Bytes that weren't UTF-8 arrive as surrogates U+DC80..U+DCFF."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = ord(text[error.start])
        if 0xDC80 <= found <= 0xDCFF:
            return f"not UTF-8 (byte 0x{found - 0xDC00:02X})"
        return f"half a Unicode character (\\u{found:04x})"
    return None


def conversion_hint(path: Path, encoding: str) -> str:
    """The command that turns a file into UTF-8."""
    name = name_of(path)
    return f"Convert it with: iconv -f {encoding} -t UTF-8 {name} > {path.stem}.utf8{path.suffix}"


def _refuse_other_encodings(path: Path, head: bytes) -> None:
    name = name_of(path)
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            raise BadInput(f"{name} is {encoding}, not UTF-8.", conversion_hint(path, encoding))
    if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            raise BadInput(f"{name} is {what}, not data.", (hint or _TAKES).format(path=name))
    nulls = head.count(0)
    if nulls == 0:
        return
    # Letters of most scripts have a zero for one of their two bytes; a stretch of zeros is no text.
    even, odd = (head[start::2].count(0) > len(head) * 0.3 for start in (0, 1))
    if odd and not even:
        raise BadInput(f"{name} is UTF-16, not UTF-8.", conversion_hint(path, "UTF-16LE"))
    if even and not odd:
        raise BadInput(f"{name} is UTF-16, not UTF-8.", conversion_hint(path, "UTF-16BE"))
    raise BadInput(f"{name} is a binary file.", _TAKES)


def _files_in(folder: Path) -> str:
    suffixes = {".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt"}
    try:
        found = sorted(child.name for child in folder.iterdir() if child.suffix.lower() in suffixes)
    except OSError:
        found = []
    if not found:
        return f"There is no data file in it. {_TAKES}"
    listed = ", ".join(plain(name) for name in found[:5]) + (", ..." if len(found) > 5 else "")
    return f"Name a file in it: {listed}"


def _similar_to(path: Path) -> str:
    import difflib

    try:
        names = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError:
        names = []
    if close := difflib.get_close_matches(path.name, names, 1, 0.7):
        return f"Did you mean {plain(str(path.parent / close[0]))}?"
    return "Check the path; a hub dataset is written as owner/name."
