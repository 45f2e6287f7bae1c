"""How numbers are said: bytes in code, GiB on screen; seconds in code, h:mm on screen."""

from __future__ import annotations

import math

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


def gib(count: float, digits: int = 1) -> str:
    """`count` bytes as text: "13.4 GiB", below a tenth of a GiB "52 MiB", below one MiB "12 KiB"."""
    magnitude = abs(count)
    if magnitude >= GiB / 10:
        return f"{count / GiB:.{digits}f} GiB"
    if magnitude >= MiB:
        return f"{count / MiB:.0f} MiB"
    return f"{count / KiB:.0f} KiB" if magnitude >= KiB else f"{count:.0f} B"


def signed_gib(count: float) -> str:
    """A change in bytes with its sign: "+1.4 GiB"."""
    return f"{'+' if count >= 0 else '−'}{gib(abs(count))}"


def kib(count: int) -> str:
    """The size of a small file: "3.1 KiB", "412 B"."""
    return f"{count / 1024:,.1f} KiB" if count >= 1024 else f"{count} B"


def clock(seconds: float | None) -> str:
    """A duration: "45 s", "12 min", "3:07 h", "2 d 4 h"; "?" when unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}:{minutes:02d} h"
    return f"{hours // 24} d {hours % 24} h"


def count(number: float | None) -> str:
    """A count for reading: "999", "131,072", "1.3 M", "8.03 B"; "?" when unknown."""
    if number is None:
        return "?"
    magnitude = abs(number)
    if magnitude < 1_000_000:
        return f"{number:,.0f}"
    unit, size = ("M", 1e6) if magnitude < 999.5e6 else ("B", 1e9)
    scaled = number / size
    return f"{scaled:,.0f} {unit}" if abs(scaled) >= 100 else f"{scaled:.3g} {unit}"


def plain(text: str) -> str:
    """Untrusted text made safe for a terminal: control characters and escapes are shown, never sent."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
