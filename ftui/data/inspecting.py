"""What the check-up looks for row by row, in one pass: inspectors see every row, and say at the end what they found.

`Wording`, `Pairs` and `Sizes` are cheap; `NearCopies`, `PersonalData` and `Leaks` cost about twice the reading.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from ftui.data import faults
from ftui.data.canonical import Row, answers_of, blank_turn, contents_of, text_of, words_of
from ftui.data.document import BadRow, Finding
from ftui.data.grown import Numbers
from ftui.data.leaks import LeakIndex
from ftui.data.near import THRESHOLD, NearIndex, runs_of
from ftui.data.personal import find_personal
from ftui.data.scripts import script_of
from ftui.data.survey import Kind, say_rows
from ftui.units import count, plain

_EXAMPLES = 5


class Inspector(Protocol):
    """Looks at rows one after another."""

    def look(self, row: Row, copied: bool) -> None:
        """See a row; `copied` where an earlier one is exactly the same."""

    def findings(self) -> Iterable[Finding]:
        """What was found in all of them."""


class Wording:
    """Faults of the text itself, and rows in another script than most."""

    def __init__(self) -> None:
        self._found: dict[str, Kind] = {}
        self._scripts: dict[str, Kind] = {}

    def look(self, row: Row, copied: bool) -> None:
        contents = list(contents_of(row))
        for name, find in _WORDS:
            for content in contents:
                if said := find(content):
                    self._add(name, row, f"holds {plain(said[:40])}")
                    break
        if said := next(filter(None, map(faults.refusal, answers_of(row))), None):
            self._add("refusals", row, f'says "{plain(said)}"')
        if said := blank_turn(row):
            self._add("blank-turns", row, said)
        script = script_of(text_of(row))
        self._scripts.setdefault(script, Kind()).add(row, f"is written in {script}")

    def findings(self) -> Iterator[Finding]:
        for name, (severity, text, why, hint, repair) in _ABOUT_WORDS.items():
            if kind := self._found.get(name):
                yield _finding(name, severity, kind, f"{say_rows(kind.count)} {text}.", why, hint, repair)
        yield from self._mixed()

    def _add(self, name: str, row: Row, reason: str) -> None:
        self._found.setdefault(name, Kind()).add(row, reason)

    def _mixed(self) -> Iterator[Finding]:
        """A few rows in another script are a slip; many are meant."""
        scripts = {name: kind for name, kind in self._scripts.items() if name != "none"}
        if len(scripts) < 2:
            return
        main = max(scripts, key=lambda name: scripts[name].count)
        others = [kind for name, kind in scripts.items() if name != main]
        together, rows = Kind(sum(kind.count for kind in others)), sum(kind.count for kind in scripts.values())
        together.examples = sorted((one for kind in others for one in kind.examples), key=lambda one: one.line)
        if together.count <= _FEW_OTHERS * rows:
            names = ", ".join(name for name in scripts if name != main)
            yield _finding(
                "languages", "note", together,
                f"{say_rows(together.count)} written in {names}, beside {count(scripts[main].count)} in {main}.",
                "A few rows of another language teach little of it, and make the model answer in it now and then.",
                "Leave them out unless they are meant.", {"filter": f'script in ["{main}", "none"]'},
            )  # fmt: skip


_FEW_OTHERS = 0.1
_WORDS: tuple[tuple[str, Callable[[str], str | None]], ...] = (
    ("template-tokens", faults.template_token), ("control-characters", faults.control), ("mojibake", faults.mojibake),
    ("html", faults.markup),
)
_Severity = Literal["error", "warning", "note"]
_ABOUT_WORDS: dict[str, tuple[_Severity, str, str, str, dict[str, object]]] = {
    "template-tokens": (
        "warning", "with a template's tokens inside the text",
        "They end a turn in the middle of it, or begin one that nobody said, and the model learns both.",
        "Escape them, or leave the rows out.", {"escape_template_tokens": None},
    ),
    "control-characters": (
        "warning", "with terminal escapes, bidirectional controls or other invisible characters",
        "Nobody sees them, and the model learns to write them.", "Remove them.", {"strip_control": None},
    ),
    "mojibake": (
        "warning", "with mojibake: UTF-8 that was once read as Windows-1252",
        "The model would learn to write it.", "Mend it, where no doubt is left.", {"mend_mojibake": None},
    ),
    "html": (
        "note", "with HTML outside of code",
        "Left over from web pages, it is learnt like any other text.",
        "Remove it unless pages are what is to be learnt.", {"strip_html": None},
    ),
    "refusals": (
        "warning", "in which the answer refuses, or speaks of itself as an AI model",
        "A few percent of them make a model refuse what it could do.",
        "Leave them out unless refusing is to be learnt.", {"drop_refusals": None},
    ),
    "blank-turns": (
        "warning", "with an empty turn",
        "The model learns to answer nothing, or to say nothing.", "Leave them out.", {"drop_empty": None},
    ),
}  # fmt: skip


class Pairs:
    """Preferences that always say the same; answers that are nearly all labelled alike.

    Pairs of equal answers never come here: they can't be read as pairs.
    """

    def __init__(self) -> None:
        self._pairs = self._longer = 0
        self._labels: Counter[bool] = Counter()

    def look(self, row: Row, copied: bool) -> None:
        if row.kind == "labelled":
            self._labels[bool(row.value["label"])] += 1
        if row.kind != "preference":
            return
        self._pairs += 1
        better, worse = (sum(len(str(turn.get("content") or "")) for turn in row.value[side])
                         for side in ("chosen", "rejected"))  # fmt: skip
        self._longer += better > worse

    def findings(self) -> Iterator[Finding]:
        if self._pairs >= 20 and self._longer >= _LONGER * self._pairs:
            yield _finding(
                "longer-chosen", "note", Kind(self._longer),
                f"The better answer is the longer one in {self._longer / self._pairs:.0%} of the pairs.",
                "The model learns that long is good, and its answers grow.",
                "Add pairs whose better answer is short, or choose a loss that counts by token, such as SimPO's.", None,
            )  # fmt: skip
        good, bad = self._labels[True], self._labels[False]
        if good + bad and (min(good, bad) * _ONE_SIDED <= max(good, bad)):
            yield _finding(
                "uneven-labels", "warning", Kind(min(good, bad)),
                f"{count(good)} good answers and {count(bad)} bad ones.",
                "The loss is then nearly that of one side alone.",
                "Weigh the rarer side more (objective.desirable_weight, objective.undesirable_weight).", None,
            )  # fmt: skip


class Topics:
    """Topics that are rare beside others, where a column or the sources' tasks say what rows are about."""

    def __init__(self) -> None:
        self._found: dict[str, Kind] = {}

    def look(self, row: Row, copied: bool) -> None:
        if (topic := row.task or row.topic) is not None and (topic in self._found or len(self._found) < _MOST_TOPICS):
            self._found.setdefault(topic, Kind()).add(row, f"is about {plain(topic)[:60]}")

    def findings(self) -> Iterator[Finding]:
        if not 2 <= len(self._found) < _MOST_TOPICS:
            # So many names are no topics.
            return
        often, seldom = (choose(self._found, key=lambda name: self._found[name].count) for choose in (max, min))
        most, least = self._found[often].count, self._found[seldom]
        if most >= _UNEVEN_TOPICS * least.count:
            yield _finding(
                "uneven-topics", "note", least,
                f"{plain(seldom)} has {say_rows(least.count)}, {plain(often)} {count(most)} "
                f"(of {len(self._found)} topics).",
                "What is rare among the rows is learnt least, and a mean over all of them hides it.",
                "Add rows of it, or even the topics out (a source's task: column:NAME with data.balance).", None,
            )  # fmt: skip


_MOST_TOPICS, _UNEVEN_TOPICS = 200, 20
_LONGER = 0.75
_ONE_SIDED = 4


class Sizes:
    """Rows that are far longer than the others."""

    def __init__(self) -> None:
        self._lengths: Counter[int] = Counter()
        self._longest: list[tuple[int, int, BadRow]] = []
        self._rows = self._texts = 0

    def look(self, row: Row, copied: bool) -> None:
        length = len(text_of(row))
        self._rows += 1
        self._texts += row.kind == "text"
        self._lengths[_rounded(length)] += 1
        if len(self._longest) < _EXAMPLES or length > self._longest[0][0]:
            example = BadRow(source=row.source, line=row.line, reason=f"{count(length)} characters")
            entry = (length, -self._rows, example)
            (heapq.heappush if len(self._longest) < _EXAMPLES else heapq.heapreplace)(self._longest, entry)

    def findings(self) -> Iterator[Finding]:
        if self._rows < _ROWS_FOR_OUTLIERS or self._texts == self._rows:
            return
        limit = max(_OUTLIER * self._median(), _LONG)
        over = sum(rows for length, rows in self._lengths.items() if length > limit)
        if over and over <= _RARE * self._rows:
            kind = Kind(over, [example for length, _, example in sorted(self._longest, reverse=True) if length > limit])
            yield _finding(
                "outliers", "note", kind,
                f"{say_rows(over)} more than {_OUTLIER} times as long as the usual one.",
                "A single one sets the memory that a step needs, and is often several rows run together.",
                "Look at them, and leave them out unless they are what they seem.",
                {"drop_longer_than": {"characters": limit}},
            )  # fmt: skip

    def _median(self) -> int:
        seen = 0
        for length, rows in sorted(self._lengths.items()):
            seen += rows
            if 2 * seen >= self._rows:
                return length
        return 0


def _rounded(length: int) -> int:
    """The length to four digits, so that there are few of them."""
    step = 10 ** max(0, len(str(length)) - 4)
    return length // step * step


_OUTLIER, _LONG, _RARE, _ROWS_FOR_OUTLIERS = 20, 4000, 0.01, 50


class NearCopies:
    """Rows that are nearly the same as earlier ones; exact copies are told apart."""

    def __init__(self) -> None:
        self._index, self._lines, self._kind = NearIndex(THRESHOLD), Numbers(), Kind()

    def look(self, row: Row, copied: bool) -> None:
        if copied:
            return
        found = self._index.find_or_add(runs_of(words_of(row)))
        if found is None:
            self._lines.append(row.line)
        else:
            self._kind.add(row, f"nearly the same as line {self._lines[found]}")

    def findings(self) -> Iterator[Finding]:
        if self._kind.count:
            yield _finding(
                "near-duplicates", "warning", self._kind,
                f"{say_rows(self._kind.count)} nearly the same as earlier ones.",
                "They weigh more than others, and a held-out row that has one in training is no test.",
                "Leave them out.", {"drop_near_duplicates": {"threshold": THRESHOLD}},
            )  # fmt: skip


class PersonalData:
    """Mail addresses, phone numbers and the like, and secrets.  What was found is never repeated."""

    def __init__(self) -> None:
        self._personal, self._secrets = Kind(), Kind()
        self._kinds: Counter[str] = Counter()

    def look(self, row: Row, copied: bool) -> None:
        kinds = {find.kind for content in contents_of(row) for find in find_personal(content)}
        self._kinds.update(kinds)
        if "secret" in kinds:
            self._secrets.add(row, "holds what looks like a key or a password")
        if others := sorted(kinds - {"secret"}):
            self._personal.add(row, f"holds {' and '.join(_PERSONAL[kind] for kind in others)}")

    def findings(self) -> Iterator[Finding]:
        if self._secrets.count:
            yield _finding(
                "secrets", "warning", self._secrets, f"{say_rows(self._secrets.count)} with keys or passwords.",
                "A model repeats what it has seen, to whoever asks; and the key may still open something.",
                "Revoke the keys, and mask them.", {"mask_personal": None},
            )  # fmt: skip
        if self._personal.count:
            kinds = ", ".join(f"{_PERSONAL[kind]} in {count(rows)}" for kind, rows in self._kinds.most_common()
                              if kind != "secret")  # fmt: skip
            yield _finding(
                "personal-data", "warning", self._personal,
                f"{say_rows(self._personal.count)} with personal data ({kinds}).",
                "A model repeats what it has seen, to whoever asks.", "Mask them unless they are made up.",
                {"mask_personal": None},
            )  # fmt: skip


_PERSONAL = {
    "mail": "a mail address", "phone": "a phone number", "card": "a card number", "iban": "an account number",
    "ip": "an IP address",
}


class Leaks:
    """Rows that stand in files which a model is to be tested on."""

    def __init__(self, files: Sequence[str], columns: Mapping[str, str] | None = None) -> None:
        self._files, self._index, self._kind = list(files), LeakIndex(), Kind()
        self._columns = dict(columns or {})
        for file in files:
            self._index.add_file(file, self._columns)

    def look(self, row: Row, copied: bool) -> None:
        if said := self._index.find(row):
            self._kind.add(row, said)

    def findings(self) -> Iterator[Finding]:
        if self._kind.count:
            yield _finding(
                "leaks", "warning", self._kind,
                f"{say_rows(self._kind.count)} standing in {plain(', '.join(self._files))}.",
                "A test on what was trained on measures memory.", "Leave them out of training.",
                {"drop_leaks": {"files": self._files, "columns": self._columns} if self._columns else self._files},
            )  # fmt: skip


def _finding(
    name: str, severity: _Severity, kind: Kind, text: str, why: str, hint: str, repair: dict[str, Any] | None
) -> Finding:
    return Finding(
        name=name, severity=severity, count=kind.count, text=text, why=why, hint=hint,
        examples=tuple(kind.examples[:_EXAMPLES]), repair=repair,
    )  # fmt: skip
