"""The repairs that a recipe's `data.prepare` may ask for, in order: canonical rows in, canonical rows out.

An entry is a mapping of one name to its options, or to the value of its main option, or to nothing:

    prepare:
      - drop_duplicates:
      - drop_leaks: [gsm8k-test.jsonl]
      - drop_near_duplicates: {threshold: 0.9}

Sources are never touched.  The same entries, rows and seed give the same result; whatever picks rows at random goes by
their content, so that their order doesn't matter.  Of copies the first one stays.
"""

from __future__ import annotations

import difflib
import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ftui.data import faults, filters
from ftui.data.canonical import (
    TURNS,
    Message,
    Row,
    answers_of,
    asked_and_answered,
    blank_turn,
    contents_of,
    make_row,
    text_of,
    words_of,
)
from ftui.data.grown import Numbers, Table
from ftui.data.leaks import LeakIndex
from ftui.data.near import THRESHOLD, NearIndex, runs_of
from ftui.data.own_filter import OwnFilter
from ftui.data.own_loader import is_reference
from ftui.data.personal import mask_personal
from ftui.data.turn_repairs import Rewrite, begin_with_user, fold_system, merge_turns
from ftui.errors import BadInput

Item = tuple[int, Row]
"""The number of a row's source, and the row."""
Drop = Callable[[int, Row, str, str], None]
"""Called with the source's number, the row, the reason in two or three words (rows are counted by it), and in full."""
Stage = Callable[[Iterator[Item], Drop], Iterator[Item]]


@dataclass(frozen=True)
class Context:
    """What a repair may have to know beside its options."""

    seed: int
    validation: Callable[[], Iterable[Row]] = tuple
    """The rows of the file that is validated on; none where rows are held out."""
    tokens: Callable[[Row], int] | None = None
    """A row's length in tokens; None where there is no tokenizer."""


@dataclass(frozen=True)
class Asked:
    """One entry that was found right: a repair and all of its options."""

    name: str
    options: Mapping[str, Any]

    def stage(self, context: Context) -> Stage:
        return REPAIRS[self.name].make(self.options, context)


@dataclass(frozen=True)
class Repair:
    """What a repair does, its options with their defaults, and how it is made."""

    help: str
    make: Callable[[Mapping[str, Any], Context], Stage]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Name -> default, whose type is the option's; `...` where one must be given."""
    main: str | None = None
    """The option that a bare value stands for."""
    mends: bool = False
    """It changes rows, and so those of a validation file as well, rather than leaving out rows to train on."""


def parse(entries: Iterable[Mapping[str, object]]) -> tuple[Asked, ...]:
    """The repairs that are asked for; raises BadInput, in one sentence, for a name, an option or a value that isn't."""
    return tuple(map(_parse_one, entries))


def shuffles(asked: Sequence[Asked]) -> bool:
    """Whether the rows of training are to be put into a random order."""
    return any(one.name == "shuffle" for one in asked)


def repaired(items: Iterator[Item], asked: Sequence[Asked], context: Context, drop: Drop) -> Iterator[Item]:
    """`items` through all repairs in turn."""
    for one in asked:
        items = one.stage(context)(items, drop)
    return items


def mended(items: Iterator[Item], asked: Sequence[Asked], context: Context, drop: Drop) -> Iterator[Item]:
    """`items` through those repairs that change rows: what a validation file goes through."""
    return repaired(items, [one for one in asked if REPAIRS[one.name].mends], context, drop)


def with_files(entry: dict[str, object], change: Callable[[str], str]) -> dict[str, object]:
    """The entry with each file that it names put through `change`; one that isn't right stays for `parse` to refuse."""
    try:
        asked = _parse_one(entry)
    except BadInput:
        return entry
    files, function = asked.options.get("files"), asked.options.get("function")
    if function:
        file, _, name = function.rpartition(":")
        return {asked.name: {"function": f"{change(file)}:{name}"}} if file.endswith(".py") else entry
    return {asked.name: {**asked.options, "files": [change(file) for file in files]}} if files else entry


def in_order(entries: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Entries in an order that makes sense: mended rows show more copies, and mojibake needs its control characters."""
    names = list(REPAIRS)

    def rank(entry: dict[str, object]) -> tuple[bool, int]:
        name = next(iter(entry))
        return not REPAIRS[name].mends, names.index(name)

    return sorted(entries, key=rank)


def _parse_one(entry: Mapping[str, object]) -> Asked:
    if len(entry) != 1:
        raise BadInput(
            f"An entry of data.prepare names {len(entry)} repairs: {', '.join(map(str, entry)) or 'none'}.",
            "Write each as an entry of its own: - drop_duplicates:",
        )
    name, given = next(iter(entry.items()))
    if name not in REPAIRS:
        near = difflib.get_close_matches(str(name), REPAIRS, 1, 0.5)
        raise BadInput(
            f"data.prepare names {name}, which is no repair" + (f"; the nearest is {near[0]}." if near else "."),
            f"There are {', '.join(REPAIRS)}.",
        )
    repair = REPAIRS[name]
    if given is None:
        given = {}
    elif not isinstance(given, Mapping):
        if repair.main is None:
            raise BadInput(f"data.prepare gives {name} the value {given}, but it takes none.", f"Write - {name}:")
        given = {repair.main: given}
    options = dict(repair.options)
    for option, value in given.items():
        if option not in options:
            known = f"It takes {', '.join(options)}." if options else f"Write - {name}:"
            raise BadInput(f"{name} in data.prepare has no option {option}.", known)
        options[option] = _checked(name, str(option), value)
    if missing := [option for option, value in options.items() if value is ...]:
        raise BadInput(f"{name} in data.prepare needs {missing[0]}.", f"Write - {name}: {_EXAMPLES[name]}")
    if name == "drop_longer_than" and sum(value is not None for value in options.values()) != 1:
        raise BadInput("drop_longer_than in data.prepare needs one length.", "Write - drop_longer_than: {tokens: 2048}")
    return Asked(name, options)


def _checked(name: str, option: str, value: object) -> Any:
    """The value in the option's type; a number in a text is a number, as it comes from the command line."""
    allowed, convert = _VALUES[option]
    try:
        return convert(value)
    except (TypeError, ValueError):
        raise BadInput(f"{option} of {name} in data.prepare is {value}.", f"It is {allowed}.") from None


def _share(value: Any) -> float:
    share = float(value)
    if isinstance(value, bool) or not 0 < share <= 1:
        raise ValueError
    return share


def _count(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool) or number != float(value) or number < 1:
        raise ValueError
    return number


def _size(value: Any) -> float | int:
    return _share(value) if float(value) < 1 else _count(value)


def _files(value: Any) -> tuple[str, ...]:
    files = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(file, str) and file.strip() for file in files):
        raise ValueError
    return files


def _function(value: Any) -> str:
    if not isinstance(value, str) or not is_reference(value):
        raise ValueError
    return value


def _columns(value: Any) -> dict[str, str]:
    columns = dict(value)
    if not all(isinstance(text, str) and text.strip() for pair in columns.items() for text in pair):
        raise ValueError
    return columns


def _expression(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    filters.parse(value)
    return value


_VALUES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "threshold": ("a share of equal words above 0 and up to 1, such as 0.8", _share),
    "files": ("a file or a list of files", _files),
    "tokens": ("a whole number of at least 1", _count),
    "words": ("a whole number of at least 1", _count),
    "characters": ("a whole number of at least 1", _count),
    "rows": ("a share below 1 (0.1) or a number of rows (1000)", _size),
    "keep": ("an expression, such as words(answer) >= 3", _expression),
    "function": ("a file's function, such as filters.py:keep, or a module's", _function),
    "columns": ("a mapping of parts to columns, such as {prompt: question}", _columns),
}
_EXAMPLES = {"sample": "1000", "filter": "words(answer) >= 3", "filter_python": "filters.py:keep"}


def _dropping(reason: str, why: Callable[[Row], str | None]) -> Stage:
    """A stage that leaves out the rows for which `why` has something to say."""

    def stage(items: Iterator[Item], drop: Drop) -> Iterator[Item]:
        for source, row in items:
            if said := why(row):
                drop(source, row, reason, said)
            else:
                yield source, row

    return stage


def _mending(change: Callable[[str], str]) -> Stage:
    """A stage that changes every text which a turn or a document is."""
    return _rewriting(lambda value: {name: _changed(name, part, change) for name, part in value.items()})


def _rewriting(rewrite: Rewrite) -> Stage:
    """A stage that writes rows anew."""

    def stage(items: Iterator[Item], drop: Drop) -> Iterator[Item]:
        for source, row in items:
            value = rewrite(row.value)
            same = value == row.value
            yield source, row if same else _anew(row, value)

    return stage


def _anew(row: Row, value: dict[str, Any]) -> Row:
    made = make_row(row.source, row.line, row.kind, value, row.order, row.task, row.by)
    return made if row.topic is None else replace(made, topic=row.topic)


def _changed(name: str, part: Any, change: Callable[[str], str]) -> Any:
    if name == "text":
        return change(part)
    if name in TURNS:
        return [_changed_turn(turn, change) for turn in part]
    return part


def _changed_turn(turn: Message, change: Callable[[str], str]) -> Message:
    content = turn.get("content")
    return {**turn, "content": change(content)} if isinstance(content, str) else turn


def _drop_duplicates(options: Mapping[str, Any], context: Context) -> Stage:
    seen, numbers = Table(), itertools.count(1)

    def why(row: Row) -> str | None:
        number = next(numbers)
        return "the same as an earlier row" if seen.first(row.key, number) != number else None

    return _dropping("duplicate", why)


def _drop_near_duplicates(options: Mapping[str, Any], context: Context) -> Stage:
    index, lines = NearIndex(options["threshold"]), Numbers()

    def why(row: Row) -> str | None:
        found = index.find_or_add(runs_of(words_of(row)))
        if found is None:
            lines.append(row.line)
            return None
        return f"nearly the same as line {lines[found]}"

    return _dropping("near duplicate", why)


def _drop_contradictions(options: Mapping[str, Any], context: Context) -> Stage:
    answers = Table()

    def why(row: Row) -> str | None:
        if (pair := asked_and_answered(row)) is None:
            return None
        question, answer = (_hash(part.encode()) or 1 for part in pair)
        other = answers.first(question, answer) != answer
        return "the same question has another answer in an earlier row" if other else None

    return _dropping("contradiction", why)


def _drop_leaks(options: Mapping[str, Any], context: Context) -> Stage:
    index = LeakIndex(options["threshold"])
    for row in context.validation():
        index.add(row, "the validation data")
    for file in options["files"]:
        index.add_file(file, options["columns"])
    return _dropping("leak", index.find)


def _drop_longer_than(options: Mapping[str, Any], context: Context) -> Stage:
    unit, limit = next((unit, limit) for unit, limit in options.items() if limit is not None)
    measure: dict[str, Callable[[Row], int]] = {
        "words": lambda row: len(text_of(row).split()), "characters": lambda row: len(text_of(row)),
    }
    if unit == "tokens" and context.tokens is not None:
        measure["tokens"] = context.tokens

    def why(row: Row) -> str | None:
        length = measure[unit](row)
        return f"{length} {unit} long" if length > limit else None

    return _dropping("too long", why)


def _filter(options: Mapping[str, Any], context: Context) -> Stage:
    keep = filters.parse(options["keep"])
    return _dropping("filtered", lambda row: None if keep(row) else f"not {options['keep']}")


def _filter_python(options: Mapping[str, Any], context: Context) -> Stage:
    reference = options["function"]

    def stage(items: Iterator[Item], drop: Drop) -> Iterator[Item]:
        with OwnFilter(reference) as own:
            for source, row in items:
                if own.keep(row):
                    yield source, row
                else:
                    drop(source, row, "filtered", f"not kept by {reference}")

    return stage


def _sample(options: Mapping[str, Any], context: Context) -> Stage:
    wanted = options["rows"]
    if isinstance(wanted, float):
        below = round(wanted * (1 << 64))
        return _dropping("not sampled", lambda row: None if place(row, context.seed) < below else "not in the sample")

    def stage(items: Iterator[Item], drop: Drop) -> Iterator[Item]:
        # A heap of the `wanted` lowest places; what is held in memory is the sample alone.
        lowest: list[tuple[int, int, int, Row]] = []
        for number, (source, row) in enumerate(items):
            entry = (-place(row, context.seed), -number, source, row)
            if len(lowest) < wanted:
                heapq.heappush(lowest, entry)
            else:
                _, _, source, row = heapq.heappushpop(lowest, entry)
                drop(source, row, "not sampled", "not in the sample")
        for _, _, source, row in sorted(lowest, key=lambda entry: -entry[1]):
            yield source, row

    return stage


def _unchanged(options: Mapping[str, Any], context: Context) -> Stage:
    return lambda items, drop: items


def place(row: Row, seed: int) -> int:
    """64 bits that follow from the row's content and the seed: its place in a random order."""
    packed = row.key.to_bytes(8, "big") + seed.to_bytes(16, "big", signed=True)
    return _hash(packed)


def _hash(packed: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big")


def _empty(row: Row) -> str | None:
    return "the answer is empty" if row.is_empty else None


def _first(find: Callable[[str], str | None], texts: Callable[[Row], Iterator[str]]) -> Callable[[Row], str | None]:
    return lambda row: next((f"holds {found!r}" for text in texts(row) if (found := find(text))), None)


REPAIRS: dict[str, Repair] = {
    "drop_duplicates": Repair("Leave out exact copies of earlier rows.", _drop_duplicates),
    "drop_near_duplicates": Repair(
        "Leave out rows that share most of their runs of five words with an earlier one.", _drop_near_duplicates,
        {"threshold": THRESHOLD}, "threshold",
    ),
    "drop_contradictions": Repair(
        "Of rows that answer the same question differently, keep the first.", _drop_contradictions
    ),
    "drop_empty": Repair(
        "Leave out rows with an empty turn; those with no answer at all always go.",
        lambda options, context: _dropping("empty", lambda row: blank_turn(row) or _empty(row)),
    ),
    "drop_leaks": Repair(
        "Leave out rows that stand, exactly or nearly, in the validation file or in the files named.", _drop_leaks,
        {"files": (), "columns": {}, "threshold": THRESHOLD}, "files",
    ),
    "drop_refusals": Repair(
        'Leave out rows whose answer refuses, or says "as an AI language model".',
        lambda options, context: _dropping("refusal", _first(faults.refusal, answers_of)),
    ),
    "drop_template_tokens": Repair(
        "Leave out rows with a template's tokens in their text, such as <|im_end|>.",
        lambda options, context: _dropping("template token", _first(faults.template_token, contents_of)),
    ),
    "drop_longer_than": Repair(
        "Leave out rows longer than so many tokens (or words, or characters).", _drop_longer_than,
        {"tokens": None, "words": None, "characters": None}, "tokens",
    ),
    "filter": Repair("Keep only the rows for which an expression holds.", _filter, {"keep": ...}, "keep"),
    "filter_python": Repair(
        "Keep only the rows for which a function of your own (filters.py:keep) says so.", _filter_python,
        {"function": ...}, "function",
    ),
    "sample": Repair("Keep a random share (0.1) or number (1000) of rows.", _sample, {"rows": ...}, "rows"),
    "shuffle": Repair("Put the training rows into a random order, after all else.", _unchanged),
    "mend_mojibake": Repair(
        "Mend UTF-8 that was read as Windows-1252, where no doubt is left.",
        lambda options, context: _mending(faults.mend_mojibake), mends=True,
    ),
    "strip_control": Repair(
        "Remove terminal escapes, bidirectional controls and other invisible characters.",
        lambda options, context: _mending(faults.strip_control), mends=True,
    ),
    "strip_html": Repair(
        "Remove HTML tags and resolve entities, but for code.",
        lambda options, context: _mending(faults.strip_html), mends=True,
    ),
    "mask_personal": Repair(
        "Write [MAIL], [PHONE], [CARD], [IBAN], [IP] and [SECRET] for what is one.",
        lambda options, context: _mending(mask_personal), mends=True,
    ),
    "escape_template_tokens": Repair(
        "Put a space into a template's tokens in the text, so that they are read as plain text.",
        lambda options, context: _mending(faults.escape_template_tokens), mends=True,
    ),
    "fold_system": Repair(
        "Put the system turn before the first question, for templates that know no system turn.",
        lambda options, context: _rewriting(fold_system), mends=True,
    ),
    "begin_with_user": Repair(
        "Leave out what the assistant says before the first question.",
        lambda options, context: _rewriting(begin_with_user), mends=True,
    ),
    "merge_turns": Repair(
        "Make one turn of several of the user, or of the assistant, in a row.",
        lambda options, context: _rewriting(merge_turns), mends=True,
    ),
}  # fmt: skip
"""Name -> repair."""
