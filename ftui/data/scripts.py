"""Which writing system a text is in: cheap, and telling enough to notice a mixed dataset."""

from __future__ import annotations

import bisect
from collections import Counter

LOOKED_AT = 400
"""Characters of a row that are looked at."""

_RANGES = (
    (0x0041, 0x024F, "Latin"), (0x0370, 0x03FF, "Greek"), (0x0400, 0x052F, "Cyrillic"), (0x0530, 0x058F, "Armenian"),
    (0x0590, 0x05FF, "Hebrew"), (0x0600, 0x06FF, "Arabic"), (0x0750, 0x077F, "Arabic"), (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"), (0x0B80, 0x0BFF, "Tamil"), (0x0C00, 0x0C7F, "Telugu"), (0x0E00, 0x0E7F, "Thai"),
    (0x10A0, 0x10FF, "Georgian"), (0x1100, 0x11FF, "Korean"), (0x1200, 0x137F, "Ethiopic"), (0x1780, 0x17FF, "Khmer"),
    (0x1E00, 0x1EFF, "Latin"), (0x1F00, 0x1FFF, "Greek"), (0x3040, 0x30FF, "Japanese"), (0x3400, 0x4DBF, "Chinese"),
    (0x4E00, 0x9FFF, "Chinese"), (0xAC00, 0xD7AF, "Korean"), (0x20000, 0x323AF, "Chinese"),
)  # fmt: skip
_ASCII_OTHERS = bytes(code for code in range(128) if not chr(code).isalpha())
_STARTS = [low for low, _, _ in _RANGES]


def script_of(text: str) -> str:
    """The script of most letters at the text's beginning: "Latin", "Cyrillic", "Chinese", ...; "none" without letters.

    Kana anywhere make a text Japanese, whose other characters are shared with Chinese.
    """
    sample = text[:LOOKED_AT]
    if sample.isascii():
        return "Latin" if any(map(str.isalpha, sample)) else "none"
    counts = Counter(_script(ord(letter)) for letter in sample if letter > "\x7f" and letter.isalpha())
    counts["Latin"] += len(sample.encode("ascii", "ignore").translate(None, _ASCII_OTHERS))
    best, letters = counts.most_common(1)[0]
    if not letters:
        return "none"
    return "Japanese" if best == "Chinese" and counts["Japanese"] else best


def _script(point: int) -> str:
    at = bisect.bisect_right(_STARTS, point) - 1
    return _RANGES[at][2] if at >= 0 and point <= _RANGES[at][1] else "other"
