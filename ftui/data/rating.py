"""Two answers to one question, rated by a person: what is read, what was said of it, and the pairs that come of it.

A rater's journal (`NAME.ratings.jsonl`) holds every verdict and every undoing, one line each, synced as it is given: a
terminal that closes loses nothing.  The pairs beside it (`NAME.jsonl`) follow from the journal alone, and are rows that
a preference is trained on as they are.  Nobody sees which answer stood first in the file: a hash of the seed and the
question says on which side it is shown.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Self, get_args

from ftui.data.answers import Item
from ftui.errors import BadInput, Refused
from ftui.files import write_atomic
from ftui.units import plain

Verdict = Literal["first", "second", "tie", "skip"]
"""Which answer is better, by its place in the file; skip: whoever rates can't tell, or won't."""
Choice = Literal["1", "2", "tie", "skip"]
"""What was chosen of what is shown: 1 is on the left."""
_KIND = "ftui-ratings"


@dataclass(frozen=True)
class Ratings:
    """What a journal says: whose it is, and the last verdict on each item."""

    rater: str
    seed: int
    file: str
    verdicts: dict[str, Verdict]


@dataclass
class Rating:
    """A rater at work on a file.  `open_rating` makes one; `close` lets another process go on with it."""

    items: Sequence[Item]
    ratings: Ratings
    pairs: Path
    """Where the preference rows are written."""
    journal: IO[bytes]
    left_out: int = 0
    """Rows of the file that hold no two different answers."""
    _queue: list[Item] = field(default_factory=list)
    _done: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        said = self.ratings.verdicts
        by_key = {item.key: item for item in self.items}
        self._done = [by_key[key] for key, verdict in said.items() if key in by_key and verdict != "skip"]
        # What was skipped before comes once more, after all that was never seen.
        unseen = [item for item in self.items if item.key not in said]
        skipped = [item for item in self.items if said.get(item.key) == "skip"]
        self._queue = unseen + skipped
        for item in skipped:
            del said[item.key]
        self._write_pairs()

    @property
    def current(self) -> Item | None:
        """What is to be rated now; None where all is."""
        return self._queue[0] if self._queue else None

    @property
    def shown(self) -> tuple[str, str] | None:
        """The two answers of the current item, left and right."""
        if (item := self.current) is None:
            return None
        left, right = (say(answer) for answer in item.answers)
        return (right, left) if self._swapped(item) else (left, right)

    @property
    def counts(self) -> Counter[str]:
        """How many items have each verdict."""
        return Counter(self.ratings.verdicts[item.key] for item in self.items if item.key in self.ratings.verdicts)

    @property
    def may_undo(self) -> bool:
        return bool(self._done)

    def choose(self, choice: Choice) -> None:
        """Take the verdict on the current item; it is on disk when this returns.  Raises OSError."""
        if (item := self.current) is None:
            return
        verdict = self._verdict(item, choice)
        self._log({"item": item.key, "verdict": verdict, "time": round(time.time(), 3)})
        self.ratings.verdicts[item.key] = verdict
        self._done.append(self._queue.pop(0))
        if pair := self._pair(item):
            with self.pairs.open("a", encoding="utf-8") as file:
                file.write(json.dumps(pair) + "\n")

    def undo(self) -> Choice | None:
        """Take the last verdict back; its item is the current one again.  What had been chosen, None for nothing."""
        if not self._done:
            return None
        item = self._done.pop()
        self._log({"undo": item.key, "time": round(time.time(), 3)})
        verdict = self.ratings.verdicts.pop(item.key)
        self._queue.insert(0, item)
        self._write_pairs()
        return self._choice(item, verdict)

    def close(self) -> None:
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _swapped(self, item: Item) -> bool:
        return hashlib.blake2b(f"{self.ratings.seed} {item.key}".encode(), digest_size=1).digest()[0] % 2 == 1

    def _verdict(self, item: Item, choice: Choice) -> Verdict:
        if choice in ("tie", "skip"):
            return choice
        return "first" if (choice == "1") != self._swapped(item) else "second"

    def _choice(self, item: Item, verdict: Verdict) -> Choice:
        if verdict in ("tie", "skip"):
            return verdict
        return "1" if (verdict == "first") != self._swapped(item) else "2"

    def _log(self, line: dict[str, Any]) -> None:
        self.journal.write(json.dumps(line).encode() + b"\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())

    def _pair(self, item: Item) -> dict[str, Any] | None:
        verdict = self.ratings.verdicts.get(item.key)
        if verdict not in ("first", "second"):
            return None
        better, worse = item.answers if verdict == "first" else item.answers[::-1]
        return {"prompt": item.prompt, "chosen": better, "rejected": worse, "rater": self.ratings.rater,
                "item": item.key}  # fmt: skip

    def _write_pairs(self) -> None:
        rows = [pair for item in self._done if (pair := self._pair(item))]
        write_atomic(self.pairs, "".join(json.dumps(row) + "\n" for row in rows), mode=0o644)


def open_rating(
    file: str, *, pairs: str | Path | None = None, rater: str | None = None, seed: int = 17, limit: int | None = None
) -> Rating:
    """Begin to rate a file's answers, or go on where this rater left.

    `pairs` is where the preference rows go (default: `FILE-RATER.jsonl` in the working folder).  Raises BadInput where
    the file holds nothing to rate, and Refused where the same rater is at it in another terminal.
    """
    from ftui.data.answers import read_answers

    rater = (rater or getpass.getuser()).strip()
    found = read_answers(file, limit)
    target = Path(pairs).expanduser() if pairs else Path(f"{Path(file).stem}-{_as_name(rater)}.jsonl")
    target.parent.mkdir(parents=True, exist_ok=True)
    path = journal_of(target)
    journal = path.open("a+b")
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        journal.close()
        raise Refused(
            f"{plain(str(path))} is being written in another terminal.", "Go on there, or name another rater: --rater."
        ) from None
    try:
        ratings = _resumed(journal, path, Ratings(rater, seed, file, {}))
        if target.exists() and target.stat().st_size and not ratings.verdicts:
            raise Refused(f"{plain(str(target))} exists, and no ratings that it follows from.", "Name another: --out.")
        return Rating(found.items, ratings, target, journal, found.left_out)
    except BaseException:
        # Whatever comes between, an interrupt too: the journal's lock must not outlive who asked for it.
        journal.close()
        raise


def journal_of(pairs: Path) -> Path:
    """The journal that stands beside a file of pairs."""
    return pairs.with_name(f"{pairs.stem}.ratings.jsonl")


def read_ratings(path: Path) -> Ratings:
    """What a journal says.  Raises BadInput where it is none."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"{plain(str(path))} can't be read: {error.strerror}.", "Check the name.") from None
    return _parsed(lines, path)


def say(turns: Sequence[dict[str, Any]]) -> str:
    """An answer, or a question, as text; who speaks is said where it isn't clear."""
    one = len(turns) == 1
    return "\n\n".join(_said(turn) if one else f"{turn['role']}: {_said(turn)}" for turn in turns)


def _said(turn: dict[str, Any]) -> str:
    calls = f" {json.dumps(turn['tool_calls'], ensure_ascii=False)}" if turn.get("tool_calls") else ""
    return f"{turn.get('content') or ''}{calls}".strip()


def _resumed(journal: IO[bytes], path: Path, fresh: Ratings) -> Ratings:
    """What the journal says so far; a new one gets its first line, and a torn last line is cut off."""
    journal.seek(0)
    content = journal.read()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        journal.truncate(len(whole))
    if not whole:
        head = {"kind": _KIND, "version": 1, "file": fresh.file, "rater": fresh.rater, "seed": fresh.seed}
        journal.write(json.dumps(head).encode() + b"\n")
        journal.flush()
        return fresh
    return _parsed(whole.splitlines(), path)


def _parsed(lines: Sequence[bytes], path: Path) -> Ratings:
    wrong = BadInput(
        f"{plain(str(path))} is no file of ratings.", "`ftui data rate` writes them: their names end in .ratings.jsonl."
    )
    try:
        head = json.loads(lines[0])
        if head["kind"] != _KIND:
            raise wrong
        ratings = Ratings(str(head["rater"]), int(head["seed"]), str(head["file"]), {})
    except (IndexError, KeyError, TypeError, ValueError):
        raise wrong from None
    for line in lines[1:]:
        try:
            said = json.loads(line)
        except ValueError:
            # A line that a full disk or a crash has torn: what it said is to be said again.
            continue
        if not isinstance(said, dict):
            continue
        item = str(said.get("undo", said.get("item")))
        if "undo" in said:
            ratings.verdicts.pop(item, None)
        elif said.get("verdict") in get_args(Verdict):
            # The last one stands last, so that it is the first to be undone.
            ratings.verdicts.pop(item, None)
            ratings.verdicts[item] = said["verdict"]
    return ratings


def _as_name(rater: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in rater) or "rater"
