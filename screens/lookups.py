"""The engine's calls that take long, each importing what it needs in the thread that it runs in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING

from ftui.errors import FtuiError

if TYPE_CHECKING:
    from ftui.data import Tokenizer
    from ftui.data.document import CheckUp, DataProfile, Finding, Preview
    from ftui.data.given import SourceLike
    from ftui.hardware.document import Hardware
    from ftui.models import Entry, Found
    from ftui.models.document import ModelShape
    from ftui.models.own_code import OwnCode
    from ftui.planner import WhyNot
    from ftui.planner.document import Plan
    from ftui.recipe import Recipe
    from ftui.runs import Layout, Run
    from ftui.runs.obstacles import Obstacle

    from .wizard.checkup import Wanted

SAMPLE_ROWS = 50


def probe() -> Hardware:
    """What this machine has."""
    from ftui import hardware

    return hardware.probe()


def catalogue() -> tuple[Entry, ...]:
    """The models that ftui knows by itself."""
    from ftui import models

    return models.catalogue()


def search(query: str, limit: int) -> Sequence[Found]:
    """Models on the hub."""
    from ftui import models

    return models.search(query, limit)


def describe(ref: str, revision: str | None) -> ModelShape:
    """What a base model is."""
    from ftui import models

    return models.describe(ref, revision)


def own_code(ref: str, revision: str | None) -> OwnCode | None:
    """The Python code that a model needs of its own."""
    from ftui.models import own_code

    return own_code.look(ref, revision)


def trust_code(code: OwnCode) -> None:
    """Keep that exactly this code may run."""
    from ftui.models import trusted

    trusted.trust(code)


def agreed_code(draft: Recipe, shape: ModelShape) -> Recipe:
    """The draft with its model's own code pinned, where the user has agreed to it before."""
    from ftui.runs.agreed_code import with_agreed_code

    return with_agreed_code(draft, shape)


def profile(
    draft: Recipe, shape: ModelShape | None, on_progress: Callable[[int, int | None], None], cancelled: Event
) -> DataProfile:
    """What the draft's data holds after its repairs, counted in a process of its own."""
    from ftui import data

    return data.profile_apart(
        draft.data.sources, shape, template=draft.data.template, loss_on=draft.objective.loss_on,
        repairs=data.repairs_of(draft), on_progress=on_progress, cancelled=cancelled,
    )


def check_up(
    draft: Recipe, shape: ModelShape | None, wanted: Wanted, on_progress: Callable[[int, int | None, str], None],
    on_found: Callable[[int, tuple[Finding, ...]], None], cancelled: Event,
) -> CheckUp:
    """What would harm a training on the draft's data as it stands, looked for in a process of its own."""
    from ftui import data

    held = data.validation_source(draft) if wanted.deep else None
    return data.check_apart(
        draft.data.sources, shape, template=wanted.template, loss_on=wanted.loss_on, max_length=wanted.max_length,
        rank=wanted.rank, deep=wanted.deep, against=(*([held.path] if held else []), *wanted.against),
        on_progress=on_progress, on_found=on_found, cancelled=cancelled,
    )


def preview(draft: Recipe, row: int, shape: ModelShape | None) -> Preview:
    """The row of this number, from 1, of the draft's first source, as tokens."""
    from ftui import data

    length = draft.data.max_length
    tokenizer, note = None, None
    try:
        tokenizer = _tokenizer(shape) if shape else None
    except FtuiError as error:
        note = f"Shown as text, without its tokens: {error}"
    first = data.Given(**draft.data.sources[0].model_dump())
    found = data.preview(
        first, row, tokenizer, template=draft.data.template, loss_on=draft.objective.loss_on,
        max_length=length if isinstance(length, int) else None,
    )
    return found.model_copy(update={"notes": (*found.notes, note)}) if note else found


@lru_cache(maxsize=1)
def _tokenizer(shape: ModelShape) -> Tokenizer:
    """Kept from row to row: a large vocabulary takes a second to load."""
    from ftui import data

    return data.load_tokenizer(shape)


def columns(source: SourceLike) -> tuple[str, ...]:
    """The columns of a file whose format is not known yet."""
    from ftui.data.formats import columns_of
    from ftui.data.loading import find_files
    from ftui.data.reading import Broken, open_file

    files = map(open_file, find_files(source))
    read = (raw for file in files for _, raw in file.read(file.path))
    return tuple(columns_of(list(islice((raw for raw in read if not isinstance(raw, Broken)), SAMPLE_ROWS))))


def ways(
    plan: Plan, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, draft: Recipe
) -> tuple[WhyNot, ...]:
    """Each of the plan's ways beside the one that it recommends."""
    from ftui import planner
    from ftui.calibration import calibration

    return planner.ways(plan, hardware, shape, profile, draft, calibration())


def other_values(layout: Layout, path: str) -> tuple[WhyNot, ...]:
    """Each value of a setting beside the one that it has."""
    from ftui import planner
    from ftui.calibration import calibration

    return planner.compare(
        layout.plan, layout.recipe, layout.hardware, layout.shape, layout.profile, path, calibration()
    )


def obstacles(layout: Layout) -> list[Obstacle]:
    """What would make the run fail, the gravest first."""
    from ftui.runs.obstacles import obstacles

    return list(obstacles(layout))


def launch(layout: Layout, command: str, force: bool, queued: bool = False) -> Run:
    """Start the run in the background, or queue it."""
    from ftui.runs.launch import launch

    return launch(layout, command=command, force=force, queued=queued)
