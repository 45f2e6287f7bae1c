"""What `ftui plan --largest` and `--why-not` say, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftui.planner import Largest, WhyNot
from ftui.planner.why import shown
from ftui.units import gib, plain

FITS = {"fits": "yes", "tight": "tight", "no": "no", None: "–"}


def show_answers(found: Sequence[Largest], compared: Sequence[Sequence[WhyNot]]) -> None:
    """Print each answer: a sentence for one value, a table for all the options of a choice."""
    console = Console(highlight=False, soft_wrap=False)
    for largest in found:
        console.print(Text(plain(largest.text)))
    for answers in compared:
        if len(answers) == 1:
            console.print(Text(plain(answers[0].text)))
            if answers[0].unknown:
                console.print(Text(plain(f"What the rule doesn't know: {answers[0].unknown}"), "dim"))
            continue
        console.print(Text(answers[0].path, "bold"))
        console.print(options_table(answers))
        if not all(one.trains for one in answers):
            console.print("* can be planned, not trained yet")
        for one in answers:
            if one.fit is None:
                console.print(Text(plain(one.text)))
        picked = next((one for one in answers if one.is_picked), None)
        if picked is not None:
            console.print(Text(plain(picked.text)))


def options_table(answers: Sequence[WhyNot]) -> Table:
    """The options of one choice with what each would change; the picked one is marked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "value", "fits"):
        table.add_column(title, no_wrap=True)
    for title in ("memory", "change", "time", "quality"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in answers:
        if one.fit is None:
            continue
        table.add_row(
            "▸" if one.is_picked else "", plain(shown(one.value)) + ("" if one.trains else "*"), FITS[one.fit],
            gib(one.process_bytes or 0), _change(one.more_bytes or 0), f"×{one.time_ratio or 1:.2f}",
            f"{one.quality or 0:.3f}",
        )
    return table


def _change(more: int) -> str:
    return "" if abs(more) < 1 << 20 else f"{'+' if more > 0 else '−'}{gib(abs(more))}"
