"""Whether a chat template has the right words trained: asked of a talk in words that no template writes by itself."""

from __future__ import annotations

from ftui.data.canonical import RowError
from ftui.data.template import ChatTemplate, LossOn
from ftui.units import plain

MEND_MASK = "Mend its {% generation %} tags, or choose another with --template (data.template), such as chatml."

_QUESTION, _ANSWER = "qv7qv", "av7av"


def mask_fault(template: ChatTemplate, loss_on: LossOn) -> str | None:
    """What is wrong with the characters that are trained of a talk written with this template; None where nothing is,
    where all is to be trained, or where the template takes no plain talk."""
    if loss_on == "all":
        return None
    talk = [turn for number in range(2) for turn in (
        {"role": "user", "content": f"{_QUESTION}{number}"}, {"role": "assistant", "content": f"{_ANSWER}{number}"}
    )]  # fmt: skip
    try:
        rendered = template.render_row(talk)
    except RowError:
        # Its own words are told with the rows that it refuses.
        return None
    turns = rendered.turns[-1:] if loss_on == "completion" else rendered.turns
    trained = "\n".join(rendered.text[start:end] for start, end in turns)
    name = plain(template.name)
    if not trained.strip():
        return f"The chat template {name} marks nothing as the assistant's, so nothing would be trained."
    if _QUESTION in trained:
        return f"The chat template {name} marks what the user says as the assistant's, so questions would be trained."
    wanted = [f"{_ANSWER}{number}" for number in ((1,) if loss_on == "completion" else (0, 1))]
    if missing := [answer for answer in wanted if answer not in trained]:
        some = "what the assistant says" if len(missing) == len(wanted) else "some of what the assistant says"
        return f"The chat template {name} doesn't mark {some}, so it would not be trained."
    return None
