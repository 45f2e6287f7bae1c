"""Which format a file has: every format that its columns allow is tried on a sample, and named with its confidence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ftui.data.canonical import RowError
from ftui.data.convert import FORMATS, Format
from ftui.data.document import Detected, FormatName
from ftui.data.thoughts import COLUMNS
from ftui.errors import BadInput
from ftui.units import plain

SAMPLE_ROWS = 200
WORTH_NAMING = 0.3
"""Less likely readings than this are not offered beside the best one."""

_OPTIONAL_NAMES: dict[str, tuple[str, ...]] = {
    "input": ("input", "context"),
    "system": ("system", "system_prompt"),
    "history": ("history",),
    "tools": ("tools", "functions"),
    "images": ("images", "image"),
    "reasoning": COLUMNS,
    "margin": ("margin",),
    "score_chosen": ("score_chosen", "chosen_score", "chosen_rating", "rating_chosen", "chosen-rating"),
    "score_rejected": ("score_rejected", "rejected_score", "rejected_rating", "rating_rejected", "rejected-rating"),
    "scores": ("scores", "ratings", "rewards"),
    "ranks": ("ranks", "rank", "ranking"),
}

_KNOWN: tuple[tuple[FormatName, dict[str, tuple[str, ...]], float], ...] = (
    ("kto", {"label": ("label", "kto_tag", "desirable", "thumbs_up"),
             "messages": ("messages", "conversations", "conversation")}, 0.98),
    ("kto", {"label": ("label", "kto_tag", "desirable", "thumbs_up"), "prompt": ("prompt", "question", "instruction"),
             "completion": ("completion", "response", "answer")}, 0.98),
    ("preference", {"chosen": ("chosen",), "rejected": ("rejected",),
                    "prompt": ("prompt", "conversations", "messages", "question", "instruction", "input")}, 0.99),
    ("preference", {"chosen": ("chosen",), "rejected": ("rejected",)}, 0.97),
    ("safe-rlhf", {"prompt": ("prompt",), "first": ("response_0",), "second": ("response_1",),
                   "winner": ("better_response_id", "safer_response_id")}, 0.99),
    ("shp", {"prompt": ("history",), "first": ("human_ref_a",), "second": ("human_ref_b",),
             "winner": ("labels",)}, 0.99),
    ("arena", {"first": ("conversation_a",), "second": ("conversation_b",), "winner": ("winner",)}, 0.99),
    ("arena", {"prompt": ("prompt", "question", "instruction"), "first": ("response_a", "answer_a", "output_a"),
               "second": ("response_b", "answer_b", "output_b"), "winner": ("winner", "preference")}, 0.95),
    ("ranked", {"prompt": ("prompt", "instruction", "question", "query"),
                "answers": ("completions", "responses", "answers", "generations", "candidates")}, 0.95),
    ("messages", {"messages": ("messages", "conversations", "conversation", "chat", "dialogue", "turns")}, 0.97),
    ("sharegpt", {"messages": ("conversations", "conversation", "messages", "chat", "dialogue", "turns")}, 0.97),
    ("alpaca", {"instruction": ("instruction",), "output": ("output",)}, 0.98),
    ("alpaca", {"instruction": ("instruction",), "output": ("response",), "input": ("context", "input")}, 0.9),
    ("prompt-completion", {"prompt": ("prompt",), "completion": ("completion",)}, 0.97),
    ("prompt-completion", {"prompt": ("prompt",), "completion": ("response", "answer", "output", "target")}, 0.85),
    ("prompt-completion", {"prompt": ("instruction",), "completion": ("response", "completion", "answer")}, 0.85),
    ("prompt-completion", {"prompt": ("question", "query"), "completion": ("answer", "response")}, 0.8),
    ("prompt-completion", {"prompt": ("input",), "completion": ("output", "target")}, 0.7),
    ("prompt-completion", {"prompt": ("source",), "completion": ("target",)}, 0.6),
    ("classification", {"text": ("text", "sentence", "review", "utterance", "comment", "tweet", "ticket", "message"),
                        "label": ("label", "labels", "category", "categories", "intent", "sentiment", "topic")}, 0.96),
    ("text", {"text": ("text",)}, 0.95),
    ("prompt", {"prompt": ("prompt", "question", "problem", "query")}, 0.5),
    ("text", {"text": ("content", "document", "body", "article", "passage")}, 0.6),
)  # fmt: skip
"""Format, the names its parts usually have, and how far those names alone are to be trusted."""


def detect(rows: Sequence[Mapping[str, Any]]) -> tuple[Detected, ...]:
    """Every format that fits, best first; confidence is the trust in the names times the share of rows that convert."""
    present = columns_of(rows)
    lowered = {name.strip().lower(): name for name in reversed(present)}
    found: dict[str, Detected] = {}
    for name, parts, trust in _KNOWN:
        columns = {
            part: lowered[known]
            for part, names in parts.items()
            if (known := next((candidate for candidate in names if candidate in lowered), None)) is not None
        }
        if len(columns) < len(parts):
            continue
        columns = _with_optional(FORMATS[name], columns, lowered)
        share = _share_that_converts(FORMATS[name], columns, rows)
        confidence = round(trust * share, 3)
        if share and (name not in found or confidence > found[name].confidence):
            found[name] = Detected(
                format=name, confidence=confidence, columns=columns, reason=_reason(columns, share, len(rows))
            )
    if not found and len(present) == 1 and _share_that_converts(FORMATS["text"], {"text": present[0]}, rows):
        found["text"] = Detected(
            format="text", confidence=0.5, columns={"text": present[0]}, reason="the only column holds text"
        )
    ranked = sorted(found.values(), key=lambda candidate: -candidate.confidence)
    return tuple(ranked[:1] + [candidate for candidate in ranked[1:] if candidate.confidence >= WORTH_NAMING])


def choose(
    rows: Sequence[Mapping[str, Any]], *, name: str = "auto", columns: Mapping[str, str] | None = None, source: str
) -> tuple[Detected, tuple[Detected, ...]]:
    """The format to read `rows` in, and the alternatives.

    `name` and `columns` (part -> column) are what a person said; the rest is detected.  Raises BadInput that names the
    columns there are where nothing fits, where a mapped column isn't there, or where a part has no such name.
    """
    present = columns_of(rows)
    said = dict(columns or {})
    _check_columns(said, present, rows, source)
    candidates = detect(rows)
    if name == "auto" and not said:
        if not candidates:
            if why := _nearest_failure(rows):
                raise BadInput(f"No row of {plain(source)} can be trained on.", f"The first one {why}.")
            if not present:
                raise BadInput(f"{plain(source)} has no columns.", "Its rows are empty: is it the right file?")
            raise BadInput(
                f"{plain(source)} has the columns {_listed(present)}, which is no format that ftui knows.",
                "Say which column is what, such as --map prompt=COLUMN --map completion=COLUMN, or --map text=COLUMN. "
                f"For a run: {_in_recipe('prompt', 'completion')}.",
            )
        return candidates[0], candidates[1:]
    format = FORMATS.get(name) if name != "auto" else _format_of_parts(said, rows)
    if format is None:
        raise BadInput(f"There is no format {plain(name)!r}.", f"The formats are: {', '.join(FORMATS)}.")
    chosen = _complete(format, said, candidates, present, source)
    share = _share_that_converts(format, chosen, rows)
    detected = Detected(
        format=format.name, confidence=round(share, 3), columns=chosen, reason="as said: " + _reason(chosen, share, 0)
    )
    return detected, tuple(candidate for candidate in candidates if candidate.format != format.name)


def _nearest_failure(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Why the first row doesn't convert, where its columns' names alone would fit a format."""
    lowered = {name.strip().lower(): name for name in columns_of(rows)}
    for name, parts, _ in _KNOWN:
        columns = {part: next((lowered[n] for n in names if n in lowered), "") for part, names in parts.items()}
        if all(columns.values()):
            try:
                FORMATS[name].convert(rows[0], columns)
            except RowError as error:
                reason = str(error)
                return f"fails as {name}: {reason}"
    return None


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that occur, in the order in which they first do."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(map(str, row)))
    return list(names)


def _complete(
    format: Format, said: dict[str, str], candidates: Sequence[Detected], present: list[str], source: str
) -> dict[str, str]:
    """The columns that were said, and for parts that weren't the detected or usual ones."""
    unknown = [part for part in said if part not in (*format.required, *format.optional)]
    if unknown:
        known_parts = ", ".join((*format.required, *format.optional))
        raise BadInput(f"The format {format.name} has no part {plain(unknown[0])!r}.", f"Its parts are: {known_parts}.")
    lowered = {name.strip().lower(): name for name in reversed(present)}
    chosen = dict(said)
    guesses = [candidate.columns for candidate in candidates if candidate.format == format.name]
    for known, parts, _ in _KNOWN:
        if known == format.name:
            guess = {part: next((lowered[n] for n in names if n in lowered), "") for part, names in parts.items()}
            guesses.append({part: column for part, column in guess.items() if column})
    for usual in guesses:
        for part, column in usual.items():
            # A column that a person gave another part is not guessed for this one.
            if column not in said.values():
                chosen.setdefault(part, column)
    if format.name == "kto" and "completion" in said:
        chosen.pop("messages", None)
    elif format.name == "kto" and "messages" not in chosen and "completion" not in chosen:
        raise BadInput(
            f"{plain(source)} has no column for the answers to label.",
            f"Say --map messages=COLUMN, or prompt=COLUMN and completion=COLUMN; it has: {_listed(present)}. "
            f"For a run: {_in_recipe('messages')}.",
        )
    missing = [part for part in format.required if part not in chosen]
    if missing:
        raise BadInput(
            f"{plain(source)} has no column for {missing[0]!r} of the format {format.name}.",
            f"Say which with --map {missing[0]}=COLUMN; it has: {_listed(present)}. For a run: {_in_recipe(*missing)}.",
        )
    return _with_optional(format, chosen, lowered, taken=said)


def _in_recipe(*parts: str) -> str:
    """How a recipe's source, or --set on the way to a run, says where these parts stand."""
    return f"data.sources.0.columns={{{', '.join(f'{part}: COLUMN' for part in parts)}}}"


def _format_of_parts(said: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Format:
    """The one format that has all the parts that were said."""
    parts = set(said)
    if "messages" in parts and "label" not in parts:
        return FORMATS["sharegpt" if _speaks_sharegpt(rows, said["messages"]) else "messages"]
    if parts == {"label"}:
        return FORMATS["kto"]
    telling = (
        ("kto", {"label"}), ("preference", {"chosen"}), ("preference", {"rejected"}),
        ("ranked", {"answers"}), ("arena", {"winner"}), ("alpaca", {"instruction"}),
        ("alpaca", {"output"}), ("text", {"text"}), ("prompt-completion", {"prompt"}),
        ("prompt-completion", {"completion"}),
    )  # fmt: skip
    for name, parts_needed in telling:
        if parts_needed <= parts:
            return FORMATS[name]
    known = sorted({part for format in FORMATS.values() for part in format.required})
    raise BadInput(f"No format has a part {plain(min(parts))!r}.", f"The parts are: {', '.join(known)}.")


def _speaks_sharegpt(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    return any(_spelled_as("sharegpt", row.get(column)) for row in rows[:SAMPLE_ROWS])


def _check_columns(
    said: Mapping[str, str], present: list[str], rows: Sequence[Mapping[str, Any]], source: str
) -> None:
    for part, column in said.items():
        if column not in present:
            close = difflib.get_close_matches(column, present, 1)
            hint = f"Did you mean {plain(close[0])!r}? " if close else ""
            raise BadInput(
                f"{plain(source)} has no column {plain(column)!r} (mapped to {plain(part)!r}).",
                f"{hint}It has: {_listed(present)}.",
            )


def _with_optional(
    format: Format, columns: dict[str, str], lowered: Mapping[str, str], taken: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`columns` with the optional parts that are there under their usual names."""
    columns = dict(columns)
    used = {*columns.values(), *(taken or {}).values()}
    for part in format.optional:
        for name in _OPTIONAL_NAMES.get(part, ()):
            if part not in columns and name in lowered and lowered[name] not in used:
                columns[part] = lowered[name]
    return columns


def _share_that_converts(format: Format, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> float:
    """The share of rows that this reading fits; from/value turns tell ShareGPT from messages."""
    sample = rows[:SAMPLE_ROWS]
    fitting = 0
    for row in sample:
        if format.name in ("sharegpt", "messages") and not _spelled_as(format.name, row.get(columns["messages"])):
            continue
        if format.name == "text" and not isinstance(row.get(columns["text"]), str):
            continue
        try:
            format.convert(row, columns)
        except RowError:
            continue
        fitting += 1
    return fitting / len(sample) if sample else 0.0


def _spelled_as(name: str, turns: Any) -> bool:
    if isinstance(turns, str):
        return f'"{"from" if name == "sharegpt" else "role"}"' in turns
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], Mapping):
        return False
    # Parquet gives every turn all keys, so the one that is filled counts.
    return turns[0].get("from" if name == "sharegpt" else "role") is not None


def _reason(columns: Mapping[str, str], share: float, rows: int) -> str:
    listed = ", ".join(f"{part} = {plain(column)}" if part != column else part for part, column in columns.items())
    fit = "every row" if share == 1 else f"{share:.0%} of the rows"
    return f"{listed}; {fit} fits" + (f" (of {min(rows, SAMPLE_ROWS)} tried)" if rows else "")


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    # A torn CSV file's "header" may hold a line's end.
    return ", ".join(plain(name).replace("\n", " ")[:60] for name in names[:12]) + (", ..." if len(names) > 12 else "")
