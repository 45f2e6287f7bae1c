"""Whole conversations in one text, as HH-RLHF writes them: "\\n\\nHuman: ...\\n\\nAssistant: ..."."""

from __future__ import annotations

import re

from ftui.data.canonical import Message

_BEGIN = re.compile(r"\s*Human: ?")
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def is_transcript(text: str) -> bool:
    """Whether a text begins as a person's turn and has the assistant's."""
    return bool(_BEGIN.match(text)) and "\n\nAssistant:" in text


def turns_in(text: str) -> list[Message]:
    """The turns of a transcript, with two in a row of one role as one; an assistant's turn that is still to be written
    at the end is left off."""
    pieces = _TURN.split(text)[1:]
    turns: list[Message] = []
    for name, said in zip(pieces[::2], pieces[1::2], strict=True):
        role, content = _ROLES[name], said.strip()
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = "\n\n".join(filter(None, (turns[-1]["content"], content)))
        else:
            turns.append({"role": role, "content": content})
    return turns[:-1] if turns and turns[-1] == {"role": "assistant", "content": ""} else turns
