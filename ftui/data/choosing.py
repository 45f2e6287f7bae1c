"""Taking single repairs into a recipe's `data.prepare` and out of it again, as a person does, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ftui.data.document import Finding
from ftui.data.repairs import REPAIRS, Asked, parse
from ftui.errors import BadInput

Entry = Mapping[str, object]


def holds(entries: Iterable[Entry], entry: Entry) -> bool:
    """Whether one of the entries does the same, however it is written."""
    wanted = _read(entry)
    return any(_read(each) == wanted for each in entries)


def added(entries: Sequence[Entry], *more: Entry) -> tuple[dict[str, object], ...]:
    """The entries with these too, each where it makes sense; those that stand there keep their order."""
    now = [dict(entry) for entry in entries]
    for entry in more:
        if not holds(now, entry):
            place = next((at for at, each in enumerate(now) if _rank(each) > _rank(entry)), len(now))
            now.insert(place, dict(entry))
    return tuple(now)


def removed(entries: Sequence[Entry], *fewer: Entry) -> tuple[dict[str, object], ...]:
    """The entries without those that do the same as one of these."""
    return tuple(dict(entry) for entry in entries if not holds(fewer, entry))


def advised(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """The repairs of all errors and warnings, each once; what a note offers is for a person to choose."""
    found: list[dict[str, object]] = []
    for finding in findings:
        if finding.repair and finding.severity != "note" and not holds(found, finding.repair):
            found.append(finding.repair)
    return found


def _read(entry: Entry) -> Asked | None:
    """None for one that isn't right, which the recipe refuses."""
    try:
        return parse((entry,))[0]
    except BadInput:
        return None


def _rank(entry: Entry) -> tuple[bool, int]:
    """Mended rows show more copies, and mojibake needs its control characters: as `in_order` has it."""
    name = next(iter(entry), "")
    known = list(REPAIRS)
    return (not REPAIRS[name].mends, known.index(name)) if name in REPAIRS else (True, len(known))
