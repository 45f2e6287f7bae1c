"""How far two raters agree on what both have rated: Cohen's kappa (Cohen 1960, Educational and Psychological
Measurement 20)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from ftui.data.rating import Ratings, Verdict, read_ratings
from ftui.documents import Document
from ftui.errors import BadInput

VERDICTS: tuple[Verdict, ...] = tuple(verdict for verdict in get_args(Verdict) if verdict != "skip")


class Agreement(Document):
    """Two raters beside each other; items that one of them skipped count nowhere."""

    raters: tuple[str, str]
    items: int
    """Rated by both."""
    same: int
    kappa: float | None
    """1: they always agree, 0: as often as by chance; None where chance alone would have them agree always."""
    table: dict[str, dict[str, int]]
    """First rater's verdict -> second rater's -> items."""

    @property
    def strength(self) -> str:
        """Kappa in a word, by Landis and Koch (1977, Biometrics 33)."""
        if self.kappa is None:
            return "undefined"
        words = ((0.8, "almost perfect"), (0.6, "substantial"), (0.4, "moderate"), (0.2, "fair"), (0.0, "slight"))
        return next((word for over, word in words if self.kappa > over), "none beyond chance")


def agreement(first: Path, second: Path) -> Agreement:
    """Hold two journals against each other.  Raises BadInput where one is none, or they share no rated item."""
    one, two = read_ratings(first), read_ratings(second)
    pairs = [(mine, two.verdicts[key]) for key, mine in one.verdicts.items() if key in two.verdicts]
    counted = Counter(pair for pair in pairs if "skip" not in pair)
    if not counted:
        raise BadInput(
            f"{_name(one)} and {_name(two)} have rated nothing in common.",
            "Both must rate the same file of answers; what one of them skipped doesn't count.",
        )
    return Agreement(
        raters=(one.rater, two.rater), items=counted.total(), same=sum(counted[each, each] for each in VERDICTS),
        kappa=kappa(counted), table={mine: {yours: counted[mine, yours] for yours in VERDICTS} for mine in VERDICTS},
    )  # fmt: skip


def kappa(counted: Mapping[tuple[Verdict, Verdict], int]) -> float | None:
    """Observed agreement beyond that of chance, by what chance leaves; `counted` by both raters' verdicts."""
    total = sum(counted.values())
    observed = sum(number for (mine, yours), number in counted.items() if mine == yours) / total
    mine, yours = Counter[str](), Counter[str]()
    for (one, two), number in counted.items():
        mine[one] += number
        yours[two] += number
    chance = sum(mine[verdict] * yours[verdict] for verdict in mine) / total**2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def _name(ratings: Ratings) -> str:
    return ratings.rater
