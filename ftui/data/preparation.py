"""`prepare()`: from a recipe's sources to token ids and loss masks.  The only place where rows become tokens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from ftui.data import forms
from ftui.data.canonical import Message, Row, RowError
from ftui.data.document import BadRow, SourceVersion
from ftui.data.filling import Filling, Progress
from ftui.data.form_rows import AnsweredRows, ClassRows, LabelledRows, PairRows, PicturedRows, PromptRows
from ftui.data.given import Given, SourceLike
from ftui.data.hold_out import HoldOut
from ftui.data.hold_out import parse as parse_hold_out
from ftui.data.images import MARKER
from ftui.data.kept_rows import find, keep, key_of, stamps, versions_of
from ftui.data.loading import column_in, load
from ftui.data.mask_check import MEND_MASK, mask_fault
from ftui.data.masking import Writer
from ftui.data.mixing import mixed, ordered
from ftui.data.packing import pack
from ftui.data.pile import KEPT_BAD_ROWS, Pile
from ftui.data.repairing import good_rows, tokens_of
from ftui.data.repairs import Context, mended, parse, repaired, shuffles
from ftui.data.splitting import split
from ftui.data.template import ChatTemplate, LossOn, choose_template
from ftui.data.token_rows import StoredRows, TokenRows, TokenStore
from ftui.data.tokenizer import Tokenizer, load_tokenizer
from ftui.documents import RowForm
from ftui.errors import BadInput
from ftui.models.document import ModelShape

DEFAULT_MAX_LENGTH = 2048
_BY_TURNS: tuple[RowForm, ...] = ("sequence", "pair", "labelled", "answered")
"""Forms of which the assistant's turns are trained, or scored."""


class DataSettings(Protocol):
    """What is read of a recipe's data section."""

    @property
    def sources(self) -> Sequence[SourceLike]: ...
    @property
    def prepare(self) -> Sequence[Mapping[str, object]]: ...
    @property
    def template(self) -> str: ...
    @property
    def validation(self) -> float | int | str: ...
    @property
    def hold_out(self) -> str: ...
    @property
    def max_length(self) -> int | Literal["auto"]: ...
    @property
    def packing(self) -> bool | Literal["auto"]: ...
    @property
    def balance(self) -> float: ...
    @property
    def curriculum(self) -> str | None: ...


class RecipeLike(Protocol):
    """`ftui.recipe.document.Recipe` is one; this room stands below the recipe."""

    @property
    def data(self) -> DataSettings: ...
    @property
    def objective(self) -> Any: ...


@dataclass(frozen=True)
class SamplePrompt:
    """A conversation up to where the assistant is to answer, and the answer that the data gives."""

    messages: list[Message]
    prompt: str
    """As the template writes it, ready to be encoded without special tokens and continued."""
    answer: str
    task: str | None = None
    images: tuple[str, ...] = ()
    """The files of the images that stand in it, in order."""


@dataclass(frozen=True)
class Prepared:
    """Rows ready for a trainer, and what happened on the way.  Counts are in rows (documents) unless said otherwise."""

    train: StoredRows
    validation: StoredRows
    tokenizer: Tokenizer
    template: ChatTemplate
    max_length: int
    packed: bool
    train_rows: int
    """Rows before packing and after weights."""
    validation_rows: int
    dropped: dict[str, int]
    """Reason -> how many rows were left out."""
    bad: tuple[BadRow, ...]
    """The first hundred that were left out, with their lines."""
    truncated: int
    """Conversations that were cut at `max_length`."""
    split_texts: int
    """Plain texts longer than `max_length`, trained in several pieces."""
    samples: tuple[SamplePrompt, ...]
    """From the held-out rows, from the training rows where none are held out."""
    notes: tuple[str, ...] = ()
    form: RowForm = "sequence"
    labels: tuple[str, ...] = ()
    """The names of the classes by their number, where rows have labels."""
    multi_label: bool = False
    """Whether a row may have several labels."""
    pictured: bool = False
    """Whether any row has images; then each row says which."""
    versions: tuple[SourceVersion, ...] = ()
    """Which data each source was."""
    cached: bool = False
    """Whether an earlier call had prepared the same rows."""
    tasks: tuple[str, ...] = ()
    """The names of the tasks by their number, where the data names any; then each row has its `task_id`."""

    @property
    def longest(self) -> int:
        """The index of the longest training sequence: what memory must hold."""
        return self.train.longest

    @property
    def tokens(self) -> int:
        """Tokens of one epoch of training."""
        return self.train.tokens

    @property
    def trained_tokens(self) -> int:
        """Those of them that the loss is taken on."""
        return self.train.trained_tokens

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids at which a generated answer ends: the model's own, and the template's end of turn where it is one."""
        end = self.tokenizer.id_of(self.template.end_of_turn.strip())
        return tuple(dict.fromkeys((*self.tokenizer.eos_ids, *(() if end is None else (end,)))))


def prepare(
    recipe: RecipeLike, model: ModelShape | Path | str | Tokenizer, *, seed: int, form: RowForm = "sequence",
    when: float | None = None, on_progress: Progress | None = None,
) -> Prepared:
    """Turn the recipe's sources into training and validation rows of the form that its objective trains on.

    `model` is what `load_tokenizer` takes, or a tokenizer.  The same recipe, files, `seed` and `when` give the same
    result; `when` (seconds since the epoch, now if None) is the day for templates that write it, as Llama 3.1's does.
    Which rows are held out follows from `seed` and their content alone, so that equal rows never stand on both sides.
    Rows go through the recipe's repairs first; those of a validation file through the ones that mend a row only.
    Raises BadInput where nothing can be trained on, or a repair isn't one.
    """
    data = recipe.data
    if not data.sources:
        raise BadInput("The recipe names no data.", "Set data.sources to a file or a hub dataset.")
    repairs = parse(data.prepare)
    tokenizer = model if isinstance(model, Tokenizer) else load_tokenizer(model)
    template = choose_template(data.template, tokenizer, when)
    max_length = data.max_length if isinstance(data.max_length, int) else _default_length(model)
    writer = Writer(tokenizer, template, getattr(recipe.objective, "loss_on", "assistant"))
    store = TokenStore()
    everything = Pile(store, form)
    wanted, by = _validation(data.validation), held_out_by(recipe)
    loaded = [load(source, column_in(data.curriculum), by) for source in data.sources]
    if form in _BY_TURNS and any(source.kind not in ("text", "class") for source in loaded):
        _refuse_wrong_mask(template, writer.loss_on)
    file = validation_source(recipe)
    held = load(file) if file is not None else None
    given, versions = stamps(loaded), versions_of(loaded)
    key = key_of(
        recipe, loaded, held, repairs, writer, versions, form=form, seed=seed, max_length=max_length, when=when
    )
    notes = template.notes if form != "class" else ()
    if key and (kept := find(key)):
        samples = tuple(SamplePrompt(**_as_said(sample)) for sample in kept.pop("samples"))
        return Prepared(**kept, samples=samples, tokenizer=tokenizer, template=template, notes=notes, cached=True)
    context = Context(seed, lambda: good_rows(file), lambda row: tokens_of(row, form, writer))
    filling = Filling(writer, max_length, seed, lambda items, drop: repaired(items, repairs, context, drop))
    filling.fill(everything, loaded, on_progress)
    if held is not None:
        apart = Pile(store, form)
        filling.repair = lambda items, drop: mended(items, repairs, context, drop)
        filling.fill(apart, [held], None)
        training, held_out = list(range(len(everything.pieces))), list(range(len(apart.pieces)))
    else:
        apart = everything
        assert not isinstance(wanted, str), "a file is read above"
        training, held_out = split(everything, wanted, seed, by)
    training = mixed(training, everything, data.sources, data.balance, seed)
    if shuffles(repairs):
        # By their keys first: the order must not follow from that of the file.
        training.sort(key=everything.keys.__getitem__)
        random.Random(seed).shuffle(training)
    training = ordered(training, everything, data.curriculum)
    packed = data.packing is True and form == "sequence"
    piles = (everything,) if apart is everything else (everything, apart)
    dropped: Counter[str] = sum((pile.dropped for pile in piles), Counter())
    labels, multi = _labels(piles)
    used = Counter(everything.sources)
    prepared = Prepared(
        train=_rows(everything, training, max_length, labels, packed=packed, multi=multi),
        validation=_rows(apart, held_out, max_length, labels, packed=False, multi=multi),
        tokenizer=tokenizer,
        template=template,
        max_length=max_length,
        packed=packed,
        train_rows=len(training),
        validation_rows=len(held_out),
        dropped=dict(dropped),
        bad=tuple(bad for pile in piles for bad in pile.bad)[:KEPT_BAD_ROWS],
        truncated=sum(pile.truncated for pile in piles),
        split_texts=sum(pile.split_texts for pile in piles),
        samples=_samples(apart, writer),
        notes=notes,
        form=form,
        labels=labels,
        multi_label=multi,
        pictured=any(pile.pictured for pile in piles),
        versions=tuple(
            version.model_copy(update={"rows": used[number]}) for number, version in enumerate(versions)
        ),
        tasks=tuple(store.task_names),
    )
    if key and stamps(loaded) == given:
        keep(key, prepared)
    return prepared


def _as_said(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample's fields as JSON brought them back: lists but for its turns were tuples."""
    return {name: tuple(value) if isinstance(value, list) and name != "messages" else value
            for name, value in sample.items()}  # fmt: skip


def _refuse_wrong_mask(template: ChatTemplate, loss_on: LossOn) -> None:
    """Raises BadInput for a template that would have the wrong words trained."""
    if fault := mask_fault(template, loss_on):
        raise BadInput(fault, MEND_MASK)


def _labels(piles: Sequence[Pile]) -> tuple[tuple[str, ...], bool]:
    """All labels in alphabetical order, and whether a row may have several."""
    found = [values for pile in piles if pile.form == "class" for values in pile.beside.values()]
    return tuple(sorted({label for values in found for label in values["labels"]})), any(v["multi"] for v in found)


def _rows(
    pile: Pile, rows: Iterable[int], max_length: int, labels: Sequence[str], *, packed: bool, multi: bool
) -> StoredRows:
    """The rows of a side in the form that the objective trains on."""
    if pile.form == "pair":
        return PairRows(pile.store, (range(*pile.pieces[row]) for row in rows), pile.beside)
    stored = [piece for row in rows for piece in range(*pile.pieces[row])]
    single = ((piece,) for piece in stored)
    match pile.form:
        case "labelled":
            return LabelledRows(pile.store, single, pile.beside)
        case "prompt":
            return PromptRows(pile.store, single, pile.beside)
        case "answered":
            return AnsweredRows(pile.store, single, pile.beside)
        case "class":
            return ClassRows(pile.store, single, pile.beside, labels, multi=multi)
    if pile.pictured:
        if packed:
            raise BadInput("data.packing is on, and rows with images can't be packed.", "Set data.packing to false.")
        return PicturedRows(pile.store, single, pile.beside)
    if not packed:
        return TokenRows(pile.store, single)
    groups = pack([pile.store.length(piece) for piece in stored], max_length)
    return TokenRows(pile.store, ([stored[index] for index in group] for group in groups))


def _samples(pile: Pile, writer: Writer) -> tuple[SamplePrompt, ...]:
    """Prompts of the rows of the lowest keys: the first to be held out."""
    samples = []
    for *_, row in sorted(pile.samples, key=lambda entry: (-entry[0], -entry[1])):
        try:
            messages, answer = forms.question(row)
            images = _images_in(row, messages)
            prompt = writer.asked(messages, row.value.get("tools"), len(images))
        except RowError:
            # Nothing stands before its answer, or the template takes the whole row but not its beginning.
            continue
        samples.append(SamplePrompt(messages, prompt, answer or "", row.task, images))
    return tuple(samples)


def _images_in(row: Row, messages: Sequence[Message]) -> tuple[str, ...]:
    """Those of a row's images that stand in `messages`, with which it begins."""
    places = sum(str(message["content"]).count(MARKER) for message in messages)
    return tuple(row.value.get("images", ())[:places])


def _validation(wanted: float | int | str) -> float | int | str:
    """A share in [0, 1), a number of rows, or the path of a file; numbers may come as text."""
    if isinstance(wanted, str):
        try:
            wanted = float(wanted) if "." in wanted else int(wanted)
        except ValueError:
            return str(wanted)
    if isinstance(wanted, float) and wanted >= 1 and wanted.is_integer():
        wanted = int(wanted)
    if not wanted >= 0 or (isinstance(wanted, float) and wanted >= 1):
        raise BadInput(
            f"data.validation is {wanted}.", "It is a share below 1 (0.05), a number of rows (200), or a file."
        )
    return wanted


def held_out_by(recipe: RecipeLike) -> HoldOut | None:
    """The column by which rows are held out; None where their content decides, a file is validated on, or nothing."""
    wanted = _validation(recipe.data.validation)
    return parse_hold_out(recipe.data.hold_out) if wanted and not isinstance(wanted, str) else None


def validation_source(recipe: RecipeLike) -> SourceLike | None:
    """The file that the recipe validates on, read in the way of its first source; None where rows are held out."""
    wanted = _validation(recipe.data.validation)
    if not isinstance(wanted, str):
        return None
    first = recipe.data.sources[0]
    return Given(wanted, format=first.format, columns=first.columns, task=first.task)


def _default_length(model: object) -> int:
    context = model.context_length if isinstance(model, ModelShape) else DEFAULT_MAX_LENGTH
    return min(DEFAULT_MAX_LENGTH, context or DEFAULT_MAX_LENGTH)
