"""`preview()`: one row as the model will see it, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ftui.data.canonical import Row, RowError, messages_of
from ftui.data.document import BadRow, Preview, PreviewToken
from ftui.data.forms import as_conversation
from ftui.data.given import SourceLike, as_sources
from ftui.data.loading import load
from ftui.data.masking import Text, Writer, mask_of
from ftui.data.named_templates import NAMED
from ftui.data.template import ChatTemplate, LossOn, choose_template
from ftui.data.tokenizer import Tokenizer, load_tokenizer
from ftui.errors import BadInput
from ftui.models.document import ModelShape
from ftui.units import plain


def preview(
    source: str | SourceLike,
    row: int = 1,
    shape: ModelShape | Path | str | Tokenizer | None = None,
    template: str = "auto",
    loss_on: LossOn = "assistant",
    max_length: int | None = None,
) -> Preview:
    """The readable row of number `row` (from 1), written with the template and cut into tokens.

    Without a model, tokens are stretches of text in plain words' template, trained or not.  A preference is shown with
    its chosen answer.  Raises BadInput where there is no such row, or where the template refuses it.
    """
    given = as_sources(source)[0]
    loaded = load(given)
    found, of = _find(loaded.rows(), row)
    if found is None:
        raise BadInput(f"{plain(given.path)} has {of} readable rows, so there is no row {row}.", "Count from 1.")
    shown = _as_conversation(found, loss_on)
    scored = found.kind == "class" and shown.kind == "text"
    try:
        if shape is None:
            chosen = ChatTemplate("plain", NAMED["plain"].source, {"bos_token": "", "eos_token": ""})
            tokens, rendered = _stretches(shown, chosen, loss_on)
        else:
            tokenizer = shape if isinstance(shape, Tokenizer) else load_tokenizer(shape)
            chosen = choose_template(template, tokenizer)
            writer = Writer(tokenizer, chosen, loss_on)
            written = writer.plain(shown.value["text"]) if scored else writer.write(shown)
            tokens, rendered = _tokens(written, writer, max_length), written.text
    except RowError as error:
        raise BadInput(
            f"Row {row} of {plain(given.path)} (line {found.line}) can't be written: {error}.",
            "Choose another template, such as chatml or plain.",
        ) from None
    name = "none" if shown.kind == "text" else chosen.name
    notes = chosen.notes if shown.kind != "text" else ()
    if scored:
        # A classifier reads the text; it is never trained to write it.
        tokens = [token.model_copy(update={"trained": False}) for token in tokens]
    return Preview(source=found.source, line=found.line, row=row, of=of, kind=found.kind, template=name,
                   rendered=rendered, tokens=tuple(tokens), beside=_beside(found), notes=notes)  # fmt: skip


def _find(rows: Iterator[Row | BadRow], wanted: int) -> tuple[Row | None, int | None]:
    """The row of that number; how many there are only where the end was reached before it."""
    number = 0
    for row in rows:
        if isinstance(row, BadRow):
            continue
        number += 1
        if number == wanted:
            return row, None
    return None, number


def _beside(row: Row) -> dict[str, str]:
    """What of a row is no text of its own to be read: by name, in words."""
    match row.kind:
        case "class":
            return {"labels" if row.value["multi"] else "label": ", ".join(row.value["labels"]) or "none of them"}
        case "labelled":
            return {"marked": "good" if row.value["label"] else "bad"}
        case "prompt":
            return {name: str(value) for name, value in row.value["columns"].items() if value is not None}
        case _:
            return {}


def _as_conversation(row: Row, loss_on: LossOn) -> Row:
    if row.kind in ("conversation", "text"):
        return row
    if row.kind == "class":
        # Where the model is to write its answers, the label is what it writes.
        read = replace(row, kind="text", value={"text": row.value["text"]})
        return read if loss_on == "all" else as_conversation(row)
    value = {"messages": messages_of(row)} | ({"tools": row.value["tools"]} if "tools" in row.value else {})
    return Row(row.source, row.line, "conversation", value, row.key)


def _tokens(written: Text, writer: Writer, max_length: int | None) -> list[PreviewToken]:
    tokenizer = writer.tokenizer
    encoded = tokenizer.encode_with_offsets([written.text])[0]
    mask = bytearray(b"\x01") * len(encoded.ids) if written.whole else mask_of(encoded, written.spans)
    pieces = [(tokenizer.decode([index]), index, True) for index in written.before]
    previous = (-1, -1)
    for index, offset, trained in zip(encoded.ids, encoded.offsets, mask, strict=True):
        text = written.text[slice(*offset)] if offset != previous else ""
        pieces.append((text, index, bool(trained)))
        previous = offset
    pieces += [(tokenizer.decode([index]), index, True) for index in written.after]
    return [
        PreviewToken(
            text=text,
            id=index,
            trained=trained and place > 0,
            special=index in tokenizer.special_ids,
            cut=max_length is not None and place >= max_length,
        )
        for place, (text, index, trained) in enumerate(pieces)
    ]


def _stretches(row: Row, template: ChatTemplate, loss_on: LossOn) -> tuple[list[PreviewToken], str]:
    if row.kind == "text":
        text = row.value["text"]
        return [PreviewToken(text=text, id=None, trained=True)], text
    rendered = template.render_row(row.value["messages"], row.value.get("tools"))
    turns = rendered.turns[-1:] if loss_on == "completion" else rendered.turns
    if loss_on == "all":
        turns = ((0, len(rendered.text)),)
    tokens, position = [], 0
    for start, end in turns:
        tokens.append(PreviewToken(text=rendered.text[position:start], id=None, trained=False))
        tokens.append(PreviewToken(text=rendered.text[start:end], id=None, trained=True))
        position = end
    tokens.append(PreviewToken(text=rendered.text[position:], id=None, trained=False))
    return [token for token in tokens if token.text], rendered.text
