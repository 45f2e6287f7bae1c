"""`DataProfile`: what a dataset holds, and the canonical rows that every format is turned into."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document

RowKind = Literal["conversation", "text", "preference", "labelled", "prompt", "class"]
"""The canonical kinds.  conversation: {"messages": [{"role", "content"}, ...]} (instruction and prompt/completion rows
become one, too); text: {"text"}; preference: {"prompt": messages, "chosen": messages, "rejected": messages};
labelled (KTO): {"prompt": messages, "completion": messages, "label": bool}; prompt: {"prompt": messages, "columns":
{name: value}} with the columns that a reward may look at; class: {"text", "labels": [str, ...], "multi": bool}."""

FormatName = Literal[
    "alpaca", "sharegpt", "messages", "prompt-completion", "text", "preference", "safe-rlhf", "shp", "arena", "ranked",
    "kto", "prompt", "classification",
]


class Detected(Document):
    """A format that fits, with confidence in 0..1 and the columns it reads (role of the column -> its name)."""

    format: FormatName
    confidence: float
    columns: dict[str, str] = {}
    reason: str = ""


class BadRow(Document):
    """A row that could not be read. `line` counts from 1 in the source file (row number for columnar files)."""

    source: str
    line: int
    reason: str


class Lengths(Document):
    """Token lengths of the rendered rows.  `histogram[i]` counts rows with `edges[i] <= length < edges[i+1]`."""

    tokenizer: str
    """The model whose tokenizer and template counted; "bytes/4" where there was none (an estimate)."""
    exact: bool
    sampled: int
    """How many rows were counted; equal to the profile's rows unless the dataset is large."""
    mean: float
    p50: int
    p90: int
    p99: int
    max: int
    total_tokens: int
    """Over the whole dataset, scaled up from the sample."""
    trained_share: float
    """Share of the tokens that the loss is taken on."""
    edges: tuple[int, ...]
    histogram: tuple[int, ...]

    def share_over(self, length: int) -> float:
        """The share of rows longer than `length` tokens, interpolated within a bin."""
        over = 0.0
        for low, high, rows in zip(self.edges, self.edges[1:], self.histogram, strict=False):
            if low > length:
                over += rows
            elif high > length + 1:
                over += rows * (high - length - 1) / (high - low)
        return over / max(sum(self.histogram), 1)


class Source(Document):
    """One file or hub dataset as it was found."""

    ref: str
    path: str | None = None
    rows: int
    bytes: int | None = None
    format: FormatName
    confidence: float
    columns: dict[str, str] = {}
    alternatives: tuple[Detected, ...] = ()
    available_columns: tuple[str, ...] = ()


class SourceVersion(Document):
    """Which data a source was when rows were made of it."""

    ref: str
    rows: int
    """Those that are used, before weights."""
    bytes: int | None = None
    sha256: str | None = None
    """Of the file's bytes; of several files, of the lines that sha256sum prints.  None for a user's own function."""
    revision: str | None = None
    """The commit of a hub dataset."""

    def __str__(self) -> str:
        known = [f"{self.rows:,} rows"]
        if self.sha256:
            known.append(f"sha256 {self.sha256[:12]}")
        if self.revision:
            known.append(f"revision {self.revision[:12]}")
        return f"{self.ref} ({', '.join(known)})"


class DataProfile(Document):
    """What `profile()` found; counts are in rows unless said otherwise."""

    version: int = 1
    sources: tuple[Source, ...]
    kind: RowKind
    rows: int
    """Rows that can be trained on."""
    bad_rows: int = 0
    bad: tuple[BadRow, ...] = ()
    """The first hundred of them."""
    empty_rows: int = 0
    left_out: dict[str, int] = {}
    """Rows that the recipe's repairs leave out, by reason; all other counts are of the rows that stay."""
    duplicate_rows: int = 0
    roles: dict[str, int] = {}
    """How many turns each role has."""
    labels: dict[str, int] = {}
    """How many rows have each label, the most frequent first, where rows are texts with labels."""
    images: int = 0
    """Rows with images."""
    turns_mean: float = 0.0
    languages: dict[str, float] = {}
    """Share of the rows by script or language, where it is cheap to tell."""
    lengths: Lengths | None = None
    prompts: Lengths | None = None
    """Of what stands before the last answer alone, where the rows have answers: all that an objective reads whose
    answers the model writes itself.  Counted on a part of the rows; None where nothing tells the two apart."""
    notes: tuple[str, ...] = ()
    """Plain sentences worth reading before training."""
    faults: tuple[str, ...] = ()
    """What forbids to train on it as it stands, such as a chat template that has the questions trained."""


class PreviewToken(Document):
    """One token of a row. `text` is what it stands for; further tokens of one character (bytes) have none."""

    text: str
    id: int | None
    """None where there is no tokenizer and `text` is a stretch of characters."""
    trained: bool
    """The loss is taken on it."""
    special: bool = False
    cut: bool = False
    """It lies beyond the sequence length."""


class Preview(Document):
    """One row as the model will see it."""

    source: str
    line: int
    row: int
    """Counted from 1 among the source's readable rows."""
    of: int | None = None
    """How many there are, where the file was read to its end."""
    kind: RowKind
    template: str
    rendered: str
    tokens: tuple[PreviewToken, ...]
    beside: dict[str, str] = {}
    """What stands beside the text and is no token of it: labels, a verdict, the columns that a reward may look at."""
    notes: tuple[str, ...] = ()

    @property
    def trained(self) -> int:
        """How many tokens the loss is taken on, of those that aren't cut."""
        return sum(token.trained and not token.cut for token in self.tokens)


class Finding(Document):
    """Something in the data that a person should know before training."""

    name: str
    """A fixed word for scripts: "bad-rows", "empty", "duplicates", "too-long", ..."""
    severity: Literal["error", "warning", "note"]
    """error: nothing can be trained as it stands; warning: worth mending; note: good to know."""
    count: int
    text: str
    """What was found, one sentence."""
    why: str
    hint: str
    examples: tuple[BadRow, ...] = ()
    """A few of the rows, with their lines."""
    repair: dict[str, object] | None = None
    """The entry of a recipe's `data.prepare` that mends it; None where no repair can."""


class CheckUp(Document):
    """What `check()` found; no finding means that nothing speaks against training."""

    profile: DataProfile
    findings: tuple[Finding, ...]
