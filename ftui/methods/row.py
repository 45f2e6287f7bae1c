"""What a row of the catalogue says: read by the planner, the screens, the docs and the worker's builders."""

from __future__ import annotations

from dataclasses import dataclass

from ftui.documents import Document


@dataclass(frozen=True)
class ObjectiveRow:
    """One objective. `data` names the canonical row kinds it trains on; `source` is its paper or manual."""

    kind: str
    title: str
    when: str
    data: tuple[str, ...]
    options: type[Document]
    source: str


@dataclass(frozen=True)
class AdapterRow:
    """One way to choose which parameters train; `on_nf4` and `on_int8` say whether a quantized base works with it."""

    kind: str
    title: str
    when: str
    mergeable: bool
    on_nf4: bool
    on_int8: bool
    options: type[Document]
    source: str
