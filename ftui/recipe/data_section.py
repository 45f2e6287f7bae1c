"""The recipe's `data`: which rows are trained on, and how they are read."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document
from ftui.settings import Auto, setting


class DataSource(Document):
    """One file, folder or hub dataset."""

    path: str = setting(
        ...,
        title="Path",
        help="A file (JSON, JSONL, CSV, Parquet, Arrow, text), a folder or pattern of them, or a hub dataset id.",
        why="Several sources are mixed by weight.",
    )
    format: Literal[
        "auto", "alpaca", "sharegpt", "messages", "prompt-completion", "text", "preference", "safe-rlhf", "shp",
        "arena", "ranked", "kto", "prompt", "classification",
    ] = setting(
        "auto",
        title="Format",
        help="How rows are to be read; 'auto' takes the one detected.",
        why="Set it where the detection is wrong.",
    )
    columns: dict[str, str] = setting(
        ...,
        title="Columns",
        help="Which column plays which part, such as prompt: question, completion: answer.",
        why="Map them where the file's columns have names of their own.",
        default_factory=dict,
    )
    split: str | None = setting(
        None,
        title="Split",
        help="The split of a hub dataset or of a saved one; empty takes train.",
        why="Set it where the rows to train on are in another one.",
    )
    config: str | None = setting(
        None, title="Configuration", help="The configuration (subset) of a hub dataset; empty takes its default one.",
        why="Datasets such as gsm8k hold several.", advanced=True,
    )
    revision: str | None = setting(
        None, title="Revision",
        help="A commit of the hub dataset.",
        why="Pin it to repeat a run after the dataset has moved on.", advanced=True
    )
    weight: float = setting(
        1.0, title="Weight", help="How often this source's rows are taken, relative to 1.",
        why="Raise it for the source that matters most.", gt=0, le=100, advanced=True,
    )
    replay: float = setting(
        0.0, title="Replay", help="A source of an old task: this share of the rows of an epoch comes from it.",
        why="0.05 to 0.2 keep most of what an earlier training has taught.", term="replay", ge=0, lt=1, advanced=True,
    )
    limit: int | None = setting(
        None, title="Limit",
        help="At most this many rows are taken.",
        why="A few hundred make a quick trial.", unit="rows", ge=1
    )
    streaming: bool = setting(
        False, title="Streaming", help="Of a hub dataset, fetch the first rows (limit) alone rather than whole files.",
        why="For a look at, or a trial on, a dataset too large to download; bad rows count, too.", advanced=True,
    )
    task: str | None = setting(
        None, title="Task", help="The task that its rows belong to: a name, or column:NAME for one in each row.",
        why="Several tasks in one Poly or multitask prompt, or an adapter for each; data.balance then evens tasks out.",
    )


class Data(Document):
    """What is trained on."""

    sources: tuple[DataSource, ...] = setting(
        (), title="Sources", help="The files or hub datasets.", why="Several are mixed by weight."
    )
    prepare: tuple[dict[str, object], ...] = setting(
        (), title="Repairs",
        help="Repairs and filters, replayed by every run.",
        why="The data check fills it; remove what you don't want repaired.",
        advanced=True,
    )
    template: str = setting(
        "auto",
        title="Chat template",
        help="How turns become text: 'auto' is the model's own, else ChatML; or chatml, alpaca, or a Jinja file.",
        why="Change it for a base model without a template, or one whose template is broken.",
        term="chat template",
    )
    validation: float | int | str = setting(
        0.05,
        title="Validation",
        help="Held-out part: a share (0.05), a number of rows (200), or a file of its own.",
        why="It is how one sees over-fitting; 0 switches evaluation off.",
        term="validation loss",
    )
    hold_out: str = setting(
        "random",
        title="Hold out by",
        help="Which rows are held out: random, stratified:COLUMN, group:COLUMN (whole ones), time:COLUMN (the newest).",
        why="By group where rows of one document or customer are alike; by time to test on what comes later.",
        advanced=True,
    )
    max_length: int | Auto = setting(
        "auto",
        title="Sequence length",
        help="Rows longer than this are cut.",
        why="Activations grow with it: just enough for nearly all rows is best.",
        unit="tokens",
        term="sequence length",
        ge=8,
        le=1_048_576,
    )
    packing: bool | Auto = setting(
        "auto",
        title="Packing",
        help="Puts several short rows into one sequence, without letting them see each other.",
        why="Saves padding where rows are much shorter than the sequence length.",
        term="packing",
    )
    balance: float = setting(
        0.0,
        title="Balance",
        help="How far the shares of the tasks, or sources, are evened out: 0 leaves their sizes, 1 makes them equal.",
        why="1 where all tasks are to count alike; 0.5 in between. A source that names no task is one.",
        advanced=True,
        ge=0,
        le=1,
    )
    tasks: Literal["together", "apart"] = setting(
        "together",
        title="Tasks",
        help="Whether the sources' tasks train one adapter together, or apart: an adapter for each from the same base.",
        why="'apart' where tasks have little in common, or are to be changed one by one; a run for each, one launch.",
        advanced=True,
    )
    curriculum: str | None = setting(
        None,
        title="Curriculum",
        help="The order of each epoch: length (short rows first), sources (as listed), or column:NAME (small first).",
        why="From easy to hard, where you know which is which; without it rows come in random order.",
        advanced=True,
    )
    padding: Literal["longest", "max_length", "free"] = setting(
        "longest",
        title="Padding",
        help="Rows of a micro-batch are padded to the longest of them, to the sequence length, or not at all (free).",
        why="'max_length' makes every step cost the same, which is the most; 'free' lays the rows end to end.",
        advanced=True,
    )
