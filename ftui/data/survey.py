"""One pass over all rows of some sources: what both the profile and the check-up are made from."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ftui.data.canonical import Row, messages_of, text_of
from ftui.data.document import BadRow, RowKind, Source
from ftui.data.given import SourceLike
from ftui.data.grown import Table
from ftui.data.loading import load, refuse_if_nothing_usable
from ftui.data.repairing import say_left_out
from ftui.data.repairs import Item, Stage
from ftui.data.sampling import Sample
from ftui.data.scripts import script_of
from ftui.errors import BadInput
from ftui.units import count, plain

KEPT_ROWS = 100
MOST_NAMES = 10_000
"""Different labels, or placeholders, that are counted: rows with a label each aren't labelled."""
_PROGRESS_SECONDS = 0.1
_MASK64 = (1 << 64) - 1
_PLACEHOLDER = re.compile(r"\{\{\s*\w{1,40}\s*\}\}")


def say_rows(number: int) -> str:
    """ "1 row", "12,345 rows"."""
    return "1 row" if number == 1 else f"{count(number)} rows"


@dataclass
class Kind:
    """How many rows have some property, and the first of them."""

    count: int = 0
    examples: list[BadRow] = field(default_factory=list)

    def add(self, row: Row | BadRow, reason: str) -> None:
        """Count a row."""
        self.count += 1
        if len(self.examples) < KEPT_ROWS:
            self.examples.append(BadRow(source=row.source, line=row.line, reason=reason))


@dataclass
class Survey:
    """What was seen; `sample` are the rows whose lengths are to be counted."""

    sources: list[Source] = field(default_factory=list)
    kinds: Counter[RowKind] = field(default_factory=Counter)
    rows: int = 0
    bad: Kind = field(default_factory=Kind)
    empty: Kind = field(default_factory=Kind)
    duplicates: Kind = field(default_factory=Kind)
    contradictions: Kind = field(default_factory=Kind)
    unanswered: Kind = field(default_factory=Kind)
    placeholders: Kind = field(default_factory=Kind)
    placeholder_names: Counter[str] = field(default_factory=Counter)
    calls: Kind = field(default_factory=Kind)
    images: int = 0
    """Rows with at least one."""
    roles: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    scripts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows that the repairs left out, by reason; nothing else counts them."""
    sample: list[Row] = field(default_factory=list)

    @property
    def kind(self) -> RowKind:
        """The kind of most rows; of conversations and texts together, conversation."""
        if self.kinds["conversation"]:
            return "conversation"
        return self.kinds.most_common(1)[0][0]


def survey(
    sources: Sequence[SourceLike],
    *,
    sample_rows: int,
    contradictions: bool = False,
    repair: Stage | None = None,
    look: Callable[[Row, bool], None] | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    into: Survey | None = None,
) -> Survey:
    """Read every row once. `sample_rows` of them are kept, chosen by their hash.
    `repair` is what rows go through before they are counted.  `look` sees every row that can be trained on, with
    whether it copies an earlier one; `into` is what it may look into meanwhile.

    Raises BadInput where a source can't be used, or where sources of different kinds can't be trained together.
    """
    if not sources:
        raise BadInput("No data is named.", "Give a file (JSON, JSONL, CSV, Parquet, text) or a hub dataset.")
    seen = into or Survey()
    keys, answers, sample = Table(), Table(), Sample(sample_rows)
    items = _readable(seen, sources, on_progress)
    if repair is not None:
        items = repair(items, lambda source, row, reason, detail: seen.left_out.update((reason,)))
    for _, row in items:
        if row.is_empty:
            seen.empty.add(row, "the answer is empty")
            continue
        seen.rows += 1
        if copied := keys.first(row.key, seen.rows) != seen.rows:
            seen.duplicates.add(row, "the same as an earlier row")
        _look_at(seen, row)
        if look is not None:
            look(row, copied)
        if contradictions and row.kind == "conversation":
            _compare(seen, row, answers)
        sample.add(row)
    if not seen.rows:
        _refuse_nothing_left(seen, sources[0])
    _refuse_mixed(seen)
    seen.sample = sample.rows()
    return seen


def _readable(
    seen: Survey, sources: Sequence[SourceLike], on_progress: Callable[[int, int | None], None] | None
) -> Iterator[Item]:
    """The rows of all sources that can be read, one source after another; the others are counted as bad."""
    done, said = 0, time.monotonic()
    for number, given in enumerate(sources):
        source = load(given)
        good, bad_before = 0, len(seen.bad.examples)
        bad_rows = seen.bad.count
        for row in source.rows():
            done += 1
            if on_progress and time.monotonic() > said + _PROGRESS_SECONDS:
                on_progress(done, None)
                said = time.monotonic()
            if isinstance(row, BadRow):
                seen.bad.add(row, row.reason)
                continue
            good += 1
            yield number, row
        refuse_if_nothing_usable(given, good, seen.bad.examples[bad_before:], seen.bad.count - bad_rows)
        seen.kinds[source.kind] += good
        seen.sources.append(source.described(good))


def _refuse_nothing_left(seen: Survey, first: SourceLike) -> None:
    """Raises BadInput for data of which every row is empty, or left out by the repairs."""
    if seen.left_out:
        raise BadInput(
            f"The repairs leave out every row of {plain(first.path)}: {say_left_out(seen.left_out)}.",
            "Take one of them out of data.prepare.",
        )
    raise BadInput(
        f"Every row of {plain(first.path)} is empty.",
        f"The first is at line {seen.empty.examples[0].line}; check which column holds the answer.",
    )


def _look_at(seen: Survey, row: Row) -> None:
    text = text_of(row)
    seen.scripts[script_of(text)] += 1
    if "{{" in text and (names := _PLACEHOLDER.findall(text)):
        seen.placeholders.add(row, f"holds {names[0]}")
        _count(seen.placeholder_names, set(names))
    seen.images += "images" in row.value
    if row.kind == "class":
        _count(seen.labels, row.value["labels"])
    messages = messages_of(row)
    seen.turns += len(messages)
    for message in messages:
        seen.roles[message["role"]] += 1
    if row.kind == "conversation" and messages[-1]["role"] != "assistant":
        seen.unanswered.add(row, f"ends with a turn of {messages[-1]['role']}")
    if row.value.get("tools") or any("tool_calls" in message for message in messages):
        seen.calls.add(row, "calls functions")


def _count(counts: Counter[str], names: Iterable[str]) -> None:
    for name in names:
        if len(counts) < MOST_NAMES or name in counts:
            counts[name] += 1


def _compare(seen: Survey, row: Row, answers: Table) -> None:
    """Remember what each question was answered with; a second, different answer is a contradiction."""
    turns = tuple((message["role"], message["content"]) for message in row.value["messages"])
    first = next(index for index, (role, _) in enumerate(turns) if role == "assistant")
    question, answer = hash(turns[:first]) & _MASK64, hash(turns[first]) & _MASK64 or 1
    if answers.first(question, answer) != answer:
        seen.contradictions.add(row, "the same question has another answer in an earlier row")


def _refuse_mixed(seen: Survey) -> None:
    kinds = {kind for kind, rows in seen.kinds.items() if rows}
    if len(kinds) > 1 and kinds != {"conversation", "text"}:
        held = "; ".join(f"{plain(source.ref)}: {source.format}" for source in seen.sources[:4])
        raise BadInput(
            f"The sources hold different kinds of rows, which no objective trains together ({held}).",
            "Train on one kind, or set a source's format.",
        )
