"""What the home screen says about the machine, the presets and the runs: engine calls in, table rows out."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from textual.content import Content

from ftui.paths import runs_dir
from ftui.units import clock, gib, plain

from .widgets.choice_table import Row

if TYPE_CHECKING:
    from ftui.hardware.document import Hardware
    from ftui.runs.status import RunStatus

STATE_MARKS = {
    "queued": ("…", "dim"), "preparing": ("…", "$text-accent"), "running": ("▶", "$text-accent"),
    "paused": ("‖", "$text-warning"), "finished": ("✓", "$text-success"), "stopped": ("■", "dim"),
    "failed": ("✗", "$text-error"), "crashed": ("✗", "$text-error"), "unreachable": ("?", "$text-warning"),
}
FIT_STYLES = {
    "fits": "$text-success", "tight": "$text-warning", "slow": "$text-warning", "unknown": "dim", "no": "$text-error",
}
"""In the order in which the presets are listed."""
MOST_GPUS = 4


def machine_lines(hardware: Hardware) -> list[Content]:
    """One line for each GPU, or CPU mode plainly said; what is wrong in a word."""
    lines = []
    for gpu in hardware.gpus[:MOST_GPUS]:
        hidden = "" if gpu.visible else "  hidden by CUDA_VISIBLE_DEVICES"
        free = Content.styled(f"{gib(gpu.free_bytes)} free", "$text-success")
        lines.append(Content.assemble((f"GPU {gpu.index}  ", "dim"), (plain(gpu.name), "bold"), "  ", free,
                                      f" of {gib(gpu.total_bytes)}{hidden}"))
    if len(hardware.gpus) > MOST_GPUS:
        lines.append(Content.styled(f"and {len(hardware.gpus) - MOST_GPUS} more GPUs", "dim"))
    if not hardware.usable_gpus:
        ram = f"{gib(hardware.ram.available_bytes)} of {gib(hardware.ram.total_bytes)} memory available"
        lines.append(Content.assemble(("CPU mode  ", "bold $text-warning"), f"{hardware.cpu.cores:g} cores, {ram}"))
        lines.append(Content.styled("Small models train here; large ones want a GPU.", "dim"))
    problems = [problem for problem in (*hardware.problems, hardware.torch.problem) if problem]
    if problems:
        more = f" and {len(problems) - 1} more; the wizard's first step lists them" if len(problems) > 1 else ""
        lines.append(Content.assemble(("! ", "bold $text-warning"), Content(f"{plain(problems[0])}{more}")))
    return lines


def preset_rows(hardware: Hardware) -> list[Row]:
    """The presets, those that fit this machine first and numbered."""
    from ftui.preset_fits import preset_fits

    judged = sorted(preset_fits(hardware), key=lambda each: tuple(FIT_STYLES).index(each.fit.fit))
    rows = []
    for number, (name, title, fit) in enumerate(judged, 1):
        mark = Content.styled(str(number), "bold $text-accent") if fit.fit != "no" and number < 10 else Content(" ")
        meaning = Content.assemble((fit.text, FIT_STYLES[fit.fit]), "  ", Content(title))
        rows.append(Row(f"preset:{name}", (mark, name, meaning)))
    return rows


def run_rows(most: int) -> list[Row]:
    """The newest runs, live ones first; a download or a question that is done has served and is left out."""
    if not any(runs_dir().glob("*/run.json")):
        # Nothing to list: what reads runs takes 10 MB, and a newcomer has none.
        return []
    from ftui.runs import list_runs

    known = ((run, run.status()) for run in list_runs())
    telling = ((run, status) for run, status in known if run.info.kind == "train" or status.state != "finished")
    found = list(islice(telling, most))
    found.sort(key=lambda pair: not pair[1].live)
    return [run_row(run.id, run.info.name, status) for run, status in found]


def run_row(key: str, name: str, status: RunStatus) -> Row:
    """One run: its state, how far it is, its loss, and when it will be done."""
    mark, style = STATE_MARKS[status.state]
    parts: list[str] = [status.state]
    if status.live and status.step is None and status.doing:
        parts.append(f"{plain(status.doing)} {status.done or 0:.0%}")
    if status.step is not None:
        parts.append(f"step {status.step:,}" + (f" of {status.total:,}" if status.total else ""))
    for metric, title in (("loss", "loss"), ("eval_loss", "eval")):
        value = status.metrics.get(metric)
        if isinstance(value, float | int):
            parts.append(f"{title} {value:.3f}")
    if status.live and status.eta_seconds is not None:
        parts.append(f"{clock(status.eta_seconds)} left")
    if status.state in ("failed", "crashed", "unreachable"):
        parts.append(plain(status.text))
    words = Content.assemble((parts[0], style), *(f"  {part}" for part in parts[1:]))
    return Row(f"run:{key}", (Content.styled(mark, f"bold {style}"), plain(name), words))
