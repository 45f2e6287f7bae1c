"""Paraphrase without a model: a row's question set into phrasings such as "Please help me with this: {text}"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftui.data.augmenting import reworded, shuffled
from ftui.data.encoding import broken_text, head_of, open_text
from ftui.data.seeds import Seed
from ftui.errors import BadInput
from ftui.units import plain

PLACE = "{text}"
BUILT_IN = (
    "Please help me with this: {text}",
    "Here is what I need: {text}",
    "Can you help me? {text}",
    "Hello! {text}",
    "One more thing: {text}",
    "{text}\n\nThank you.",
    "{text}\n\nTake your time to get it right.",
    "My request is the following.\n\n{text}",
)


def read(path: str | None) -> tuple[str, ...]:
    """A file's phrasings, one a line, in which `\\n` is a new line and `#` begins a remark; without a file BUILT_IN.

    Raises BadInput where a line has no place for the text, and where there is none at all.
    """
    if path is None:
        return BUILT_IN
    found: list[str] = []
    file_path = Path(path).expanduser()
    head_of(file_path)
    with open_text(file_path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if why := broken_text(line):
                raise BadInput(f"{plain(path)}, line {number} is {why}.", "Save the file as UTF-8.")
            if PLACE not in line:
                raise BadInput(f"{plain(path)}, line {number}: the phrasing has no {PLACE}.",
                               f"Write where the row's text stands, as in: Please {PLACE}")
            found.append(line.strip().replace("\\n", "\n"))
    if not found:
        raise BadInput(f"{plain(path)} has no phrasings.", f"Write one a line, as in: Please {PLACE}")
    return tuple(dict.fromkeys(found))


def phrased(seeds: Sequence[Seed], phrasings: Sequence[str], rows: int, seed: int) -> list[dict[str, Any]]:
    """New rows, as lines of a file: every question in a phrasing drawn by the seed, then in another one, up to `rows`.

    What comes out as a question that is there already is left out, so there may be fewer.
    """
    known = {each.text for each in seeds}
    found: list[dict[str, Any]] = []
    order = shuffled(len(seeds), seed)
    own = [shuffled(len(phrasings), f"{seed}:{index}") for index in range(len(seeds))]
    for _ in range(len(seeds) * len(phrasings)):
        if len(found) >= rows:
            break
        index = next(order)
        phrasing = phrasings[next(own[index])]
        text = phrasing.replace(PLACE, seeds[index].text)
        if text not in known:
            known.add(text)
            origin = {"how": "template", "lines": [seeds[index].line], "phrasing": phrasing}
            found.append(reworded(seeds[index], text, origin))
    return found
