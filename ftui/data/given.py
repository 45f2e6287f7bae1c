"""What is given as data: the parts of a recipe's source that this room reads, and a plain one for other callers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast


class SourceLike(Protocol):
    """`ftui.recipe.document.DataSource` is one; this room stands below the recipe and reads only these."""

    @property
    def path(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def split(self) -> str | None: ...
    @property
    def config(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def weight(self) -> float: ...
    @property
    def replay(self) -> float: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def streaming(self) -> bool: ...
    @property
    def task(self) -> str | None: ...


@dataclass(frozen=True)
class Given:
    """A source for those who have no recipe: the command line, the wizard before its plan, tests."""

    path: str
    format: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    weight: float = 1.0
    replay: float = 0.0
    limit: int | None = None
    streaming: bool = False
    task: str | None = None


def as_sources(sources: str | SourceLike | Iterable[str | SourceLike]) -> tuple[SourceLike, ...]:
    """One source or several, as paths or as documents, in one form."""
    # A pydantic document is iterable, too: over its fields.
    several = isinstance(sources, Iterable) and not isinstance(sources, str) and not hasattr(sources, "path")
    each = cast("Iterable[str | SourceLike]", sources if several else (sources,))
    return tuple(Given(source) if isinstance(source, str) else source for source in each)
