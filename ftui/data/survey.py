"""One pass over all rows of some sources: what both the profile and the check-up are made from."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ftui.data.canonical import Row, messages_of, text_of
from ftui.data.document import BadRow, RowKind, Source
from ftui.data.given import SourceLike
from ftui.data.loading import load, refuse_if_nothing_usable
from ftui.data.repairing import say_left_out
from ftui.data.repairs import Item, Stage
from ftui.data.scripts import script_of
from ftui.errors import BadInput
from ftui.units import count, plain

KEPT_ROWS = 100
SAMPLE_CHARACTERS = 6_000_000
"""About 1.5 million tokens: three seconds of one core with a SentencePiece vocabulary, which is the slowest."""
LEAST_SAMPLE = 200
_PROGRESS_EVERY = 2000
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
    """Read every row once. `sample_rows` of them are kept, chosen by their hash; contradictions cost some memory.
    `repair` is what rows go through before they are counted.  `look` sees every row that can be trained on, with
    whether it copies an earlier one; `into` is what it may look into meanwhile.

    Raises BadInput where a source can't be used, or where sources of different kinds can't be trained together.
    """
    if not sources:
        raise BadInput("No data is named.", "Give a file (JSON, JSONL, CSV, Parquet, text) or a hub dataset.")
    seen = into or Survey()
    keys: set[int] = set()
    answers: dict[int, int] = {}
    # A heap of the lowest keys: a uniform sample of the distinct rows that doesn't depend on their order.
    lowest: list[tuple[int, int, Row]] = []
    items = _readable(seen, sources, on_progress)
    if repair is not None:
        items = repair(items, lambda source, row, reason, detail: seen.left_out.update((reason,)))
    for done, (_, row) in enumerate(items):
        if row.is_empty:
            seen.empty.add(row, "the answer is empty")
            continue
        seen.rows += 1
        if copied := row.key in keys:
            seen.duplicates.add(row, "the same as an earlier row")
        keys.add(row.key)
        _look_at(seen, row)
        if look is not None:
            look(row, copied)
        if contradictions and row.kind == "conversation":
            _compare(seen, row, answers)
        if len(lowest) < sample_rows:
            heapq.heappush(lowest, (-row.key, -done, row))
        elif -row.key > lowest[0][0]:
            heapq.heapreplace(lowest, (-row.key, -done, row))
    if not seen.rows:
        _refuse_nothing_left(seen, sources[0])
    _refuse_mixed(seen)
    seen.sample = _within_budget(lowest)
    return seen


def _readable(
    seen: Survey, sources: Sequence[SourceLike], on_progress: Callable[[int, int | None], None] | None
) -> Iterator[Item]:
    """The rows of all sources that can be read, one source after another; the others are counted as bad."""
    done = 0
    for number, given in enumerate(sources):
        source = load(given)
        good, bad_before = 0, len(seen.bad.examples)
        bad_rows = seen.bad.count
        for row in source.rows():
            done += 1
            if on_progress and done % _PROGRESS_EVERY == 0:
                on_progress(done, None)
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


def _within_budget(lowest: list[tuple[int, int, Row]]) -> list[Row]:
    """The rows in file order; of long ones only so many, by their keys, that counting them takes seconds."""
    chosen: list[tuple[int, Row]] = []
    characters = 0
    for _, order, row in sorted(lowest, key=lambda entry: (-entry[0], -entry[1])):
        characters += len(text_of(row))
        if characters > SAMPLE_CHARACTERS and len(chosen) >= LEAST_SAMPLE:
            break
        chosen.append((-order, row))
    return [row for _, row in sorted(chosen, key=lambda entry: entry[0])]


def _look_at(seen: Survey, row: Row) -> None:
    text = text_of(row)
    seen.scripts[script_of(text)] += 1
    if "{{" in text and (names := _PLACEHOLDER.findall(text)):
        seen.placeholders.add(row, f"holds {names[0]}")
        seen.placeholder_names.update(set(names))
    seen.images += "images" in row.value
    if row.kind == "class":
        seen.labels.update(row.value["labels"])
    messages = messages_of(row)
    seen.turns += len(messages)
    for message in messages:
        seen.roles[message["role"]] += 1
    if row.kind == "conversation" and messages[-1]["role"] != "assistant":
        seen.unanswered.add(row, f"ends with a turn of {messages[-1]['role']}")
    if row.value.get("tools") or any("tool_calls" in message for message in messages):
        seen.calls.add(row, "calls functions")


def _compare(seen: Survey, row: Row, answers: dict[int, int]) -> None:
    """Remember what each question was answered with; a second, different answer is a contradiction."""
    turns = tuple((message["role"], message["content"]) for message in row.value["messages"])
    first = next(index for index, (role, _) in enumerate(turns) if role == "assistant")
    question, answer = hash(turns[:first]), hash(turns[first])
    if answers.setdefault(question, answer) != answer:
        seen.contradictions.add(row, "the same question has another answer in an earlier row")


def _refuse_mixed(seen: Survey) -> None:
    kinds = {kind for kind, rows in seen.kinds.items() if rows}
    if len(kinds) > 1 and kinds != {"conversation", "text"}:
        held = "; ".join(f"{plain(source.ref)}: {source.format}" for source in seen.sources[:4])
        raise BadInput(
            f"The sources hold different kinds of rows, which no objective trains together ({held}).",
            "Train on one kind, or set a source's format.",
        )
