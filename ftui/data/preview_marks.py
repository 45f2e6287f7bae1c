"""How a previewed row is marked, by characters and not by colour alone: ‹trained›, «special», ║cut off; the rest is
read, but masked in the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from ftui.data.document import Preview, PreviewToken
from ftui.units import count

Part = Literal["trained", "masked", "special", "cut", "mark"]


class Piece(NamedTuple):
    """A stretch of the row, untrusted, and what it is; "mark" for the characters that stand for it."""

    text: str
    part: Part


def marked(preview: Preview) -> Iterator[Piece]:
    """The row's tokens in order, with the marks between them."""
    trained = cut = False
    for token in preview.tokens:
        now = token.trained and not token.cut
        if trained and not now:
            yield Piece("›", "mark")
        if token.cut and not cut:
            yield Piece("║", "mark")
            cut = True
        if now and not trained:
            yield Piece("‹", "mark")
        trained = now
        yield from _token(token)
    if trained:
        yield Piece("›", "mark")


def counted(preview: Preview) -> list[tuple[str, Part]]:
    """What a row is made of, such as 23 trained and 34 masked, each with its mark: of tokens, or of characters where
    no tokenizer was there to make any."""
    numbers: dict[Part, int] = {"trained": 0, "masked": 0, "special": 0, "cut": 0}
    for token in preview.tokens:
        size = 1 if token.id is not None else len(token.text)
        numbers["cut" if token.cut else "trained" if token.trained else "masked"] += size
        if token.special and not token.cut:
            numbers["special"] += size
    said: list[tuple[str, Part]] = [
        (f"‹{count(numbers['trained'])} trained›", "trained"), (f"{count(numbers['masked'])} masked", "masked"),
    ]  # fmt: skip
    if numbers["special"]:
        said.append((f"«{count(numbers['special'])} special»", "special"))
    if numbers["cut"]:
        said.append((f"║{count(numbers['cut'])} cut off", "cut"))
    return said


def whole(preview: Preview) -> str:
    """ "57 tokens", or "230 characters" where no tokenizer was there."""
    if all(token.id is not None for token in preview.tokens):
        return f"{count(len(preview.tokens))} tokens"
    return f"{count(sum(len(token.text) for token in preview.tokens))} characters"


def _token(token: PreviewToken) -> Iterator[Piece]:
    part: Part = "cut" if token.cut else "trained" if token.trained else "special" if token.special else "masked"
    if token.special and not token.cut:
        yield Piece("«", "mark")
        yield Piece(token.text, part)
        yield Piece("»", "mark")
    else:
        yield Piece(token.text, part)
