"""What a canonical row becomes for an objective: the texts that are tokenized, and what stands beside them.

An objective says which form of rows it trains on (`RowForm`), and the form which kinds of canonical rows it can be made
from: a preference makes two labelled rows, a conversation a prompt whose last answer the reward may look at.
"""

from __future__ import annotations

from typing import Any

from ftui.data.canonical import Message, Row, RowError
from ftui.data.document import RowKind
from ftui.data.masking import Text, Writer
from ftui.documents import RowForm

KINDS: dict[RowForm, tuple[RowKind, ...]] = {
    "sequence": ("conversation", "text", "class"),
    "pair": ("preference",),
    "labelled": ("labelled", "preference"),
    "prompt": ("prompt", "conversation", "preference"),
    "answered": ("prompt", "conversation", "preference"),
    "class": ("class",),
}
"""The kinds of canonical rows that each form can be made from."""

REFERENCE = "answer"
"""Under this name a prompt's reward finds the answer that the data gives."""


def texts(row: Row, form: RowForm, writer: Writer) -> list[Text]:
    """The texts of a row, each of which becomes one stored sequence; raises RowError where it can't be written."""
    value = row.value
    if "images" in value and form != "sequence":
        raise RowError("has images, which supervised fine-tuning alone trains on")
    match form:
        case "pair":
            return [writer.completion(value, value[side]) for side in ("chosen", "rejected")]
        case "labelled":
            answers = [value["completion"]] if row.kind == "labelled" else [value["chosen"], value["rejected"]]
            return [writer.completion(value, answer) for answer in answers]
        case "prompt":
            return [writer.prompt(question(row)[0], value.get("tools"))]
        case "answered":
            messages, answer = question(row)[0], _answer(row)
            if not answer:
                return [writer.prompt(messages, value.get("tools"))]
            return [writer.completion({**value, "prompt": messages}, answer)]
        case "class":
            return [writer.plain(value["text"])]
        case _:
            return [writer.write(row if row.kind != "class" else as_conversation(row))]


def beside(row: Row, form: RowForm) -> list[dict[str, Any]]:
    """For each of the row's texts what is no token: a verdict, labels, or the columns that a reward looks at."""
    value = row.value
    match form:
        case "labelled":
            verdicts = [value["label"]] if row.kind == "labelled" else [True, False]
            return [{"label": verdict} for verdict in verdicts]
        case "pair":
            return [{"margin": value["margin"]}] if "margin" in value else []
        case "class":
            return [{"labels": value["labels"], "multi": value["multi"]}]
        case "prompt":
            messages, answer = question(row)
            own = {} if answer is None else {REFERENCE: answer}
            return [{**own, **value.get("columns", {}), "prompt": messages}]
        case "sequence" if "images" in value:
            return [{"images": value["images"]}]
        case _:
            return []


def question(row: Row) -> tuple[list[Message], str | None]:
    """The turns up to where the assistant is to answer, and the answer that the data gives, where it gives one.

    Raises RowError for a conversation that begins with an answer.
    """
    value = row.value
    match row.kind:
        case "conversation":
            messages = value["messages"]
            last = max(index for index, message in enumerate(messages) if message["role"] == "assistant")
            if last == 0:
                raise RowError("nothing stands before the answer, so there is no prompt")
            return list(messages[:last]), str(messages[last]["content"])
        case "preference":
            return list(value["prompt"]), str(value["chosen"][-1]["content"])
        case "labelled":
            return list(value["prompt"]), str(value["completion"][-1]["content"]) if value["label"] else None
        case "prompt":
            given = value["columns"].get(REFERENCE)
            return list(value["prompt"]), None if given is None else str(given)
        case _:
            raise RowError(f"a {row.kind} row has no prompt")


def _answer(row: Row) -> list[Message]:
    """The turns with which the data answers a row's question; none where it has prompts alone."""
    if row.kind == "conversation":
        return [next(message for message in reversed(row.value["messages"]) if message["role"] == "assistant")]
    return list(row.value["chosen"]) if row.kind == "preference" else []


def as_conversation(row: Row) -> Row:
    """A text and its label as a question and its answer, for those who would rather have the model write the label."""
    messages = [{"role": "user", "content": row.value["text"]},
                {"role": "assistant", "content": ", ".join(row.value["labels"])}]  # fmt: skip
    return Row(row.source, row.line, "conversation", {"messages": messages}, row.key, row.order, row.task)
