"""The Hardware step: what the machine has, what is wrong with it, and whether to train on the GPU or the CPU."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content

from ftui.hardware.document import Gpu, Hardware
from ftui.units import gib, plain

from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.static import Static
from .state import WizardState
from .step import Assigned, GoOn, LookAgain, Step, said


class HardwareStep(Step):
    """Facts above, the device to use below."""

    BINDINGS = [Binding("r", "again", "Read again", tooltip="Read the machine anew: memory may have come free")]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="facts", can_focus=False):
            yield Static(id="machine")
        yield ChoiceTable(Column("", 1), Column("Train on", 26), Column("which means"), id="device")

    def show(self, state: WizardState) -> None:
        super().show(state)
        hardware = state.hardware
        lines = [line] if (line := said(state, "hardware")) else []
        if hardware:
            lines += facts(hardware)
        self.query_one("#machine", Static).update(Content("\n").join(lines))
        table = self.query_one(ChoiceTable)
        fresh = not table.keys
        table.show(devices(hardware, state.draft.compute.gpus) if hardware else ())
        if fresh and (asked := str(state.draft.compute.gpus)) in table.keys:
            table.move(asked)

    def set_focus(self) -> None:
        self.query_one(ChoiceTable).focus()

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        gpus = int(event.key) if event.key.isdecimal() else event.key
        if gpus != self.state.draft.compute.gpus:
            self.post_message(Assigned({"compute.gpus": gpus}))
        self.post_message(GoOn())

    def action_again(self) -> None:
        self.post_message(LookAgain("hardware"))

    def next_line(self) -> str:
        return "Enter takes the device under the cursor and goes on." if self.state.hardware else ""

    def command(self) -> str:
        return "ftui probe"

    def term(self) -> str | None:
        return "VRAM"


def facts(hardware: Hardware) -> list[Content]:
    """The machine in lines: each GPU, then CPU, memory, disks, torch, then the problems."""
    lines = [line for gpu in hardware.gpus for line in gpu_lines(gpu)]
    if not hardware.gpus:
        lines.append(_fact("GPU", "none that a driver reports: training runs on the CPU, for small models only"))
    elif not hardware.usable_gpus:
        lines.append(_fact("", f"CUDA_VISIBLE_DEVICES={hardware.visible_devices!r} hides every GPU: CPU mode"))
    if hardware.driver:
        lines.append(_fact("driver", f"{plain(hardware.driver)}, CUDA up to {hardware.cuda_driver or '?'}"))
    lines.append(_fact("CPU", f"{plain(hardware.cpu.name)}, {hardware.cpu.cores:g} of {hardware.cpu.host_cores} cores"))
    limit = ", the container's limit" if hardware.ram.limited_by == "cgroup" else ""
    ram = f"{gib(hardware.ram.available_bytes)} available of {gib(hardware.ram.total_bytes)}{limit}"
    lines.append(_fact("memory", ram))
    for disk in hardware.disks:
        lost = Content.styled("  vanishes with this machine", "$text-warning") if disk.volatile else Content("")
        lines.append(_fact(disk.purpose, f"{gib(disk.free_bytes)} free at {plain(disk.path)}") + lost)
    torch = hardware.torch
    build = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "CPU build"
    lines.append(_fact("torch", f"{torch.version}, {build}" if torch.version else "not installed"))
    if torch.problem:
        lines.append(_warning(torch.problem, torch.advice))
    return lines + [_warning(problem, None) for problem in hardware.problems]


def gpu_lines(gpu: Gpu) -> list[Content]:
    """One GPU: what it is and has free, then what it can do, then who holds its memory."""
    share = gpu.free_bytes / max(gpu.total_bytes, 1)
    style = "$text-success" if share > 0.8 else "$text-warning" if share > 0.3 else "$text-error"
    name = f"{plain(gpu.name)}{' (MIG slice)' if gpu.mig else ''}{'' if gpu.visible else ' (hidden)'}"
    lines = [
        Content.assemble(
            Content.styled(f"{f'GPU {gpu.index}':<11}", "dim"), (name, "bold"), "  ",
            (f"{gib(gpu.free_bytes)} free", style), f" of {gib(gpu.total_bytes)}",
        )
    ]
    abilities = (("bf16", gpu.bf16), ("fp8", gpu.fp8), ("flash attention", gpu.flash_attention))
    notes = [f"compute {gpu.compute_capability[0]}.{gpu.compute_capability[1]}"] if gpu.compute_capability else []
    notes += [word for word, has in abilities if has]
    if gpu.temperature_c is not None:
        notes.append(f"{gpu.temperature_c:.0f} °C")
    if gpu.power_w is not None:
        notes.append(f"{gpu.power_w:.0f} W" + (f" of {gpu.power_limit_w:.0f}" if gpu.power_limit_w else ""))
    if gpu.ecc:
        notes.append("ECC")
    lines.append(_fact("", ", ".join(notes)))
    for process in gpu.processes:
        held = gib(process.used_bytes) if process.used_bytes is not None else "an unknown amount"
        who = f"{plain(process.name or 'a process')} (pid {process.pid}{f', {process.user}' if process.user else ''})"
        lines.append(_fact("", f"{who} holds {held}"))
    return lines


def devices(hardware: Hardware, asked: int | str) -> list[Row]:
    """The devices to choose from, the one asked for marked."""
    usable = hardware.usable_gpus
    rows = []
    if usable:
        best = usable[0]
        rows.append(("auto", f"GPU {best.index} (recommended)", f"the most free memory: {gib(best.free_bytes)}"))
    else:
        # Without a GPU both mean the CPU: what was asked for stays as it is.
        key = "0" if asked == 0 else "auto"
        rows.append((key, "CPU (the only device)", f"{gib(hardware.ram.available_bytes)} of memory for the run"))
    if usable:
        rows.append(("0", "CPU", "leaves the GPU to others; much slower"))
    chosen = str(asked)
    return [Row(key, ("●" if key == chosen else "○", title, meaning)) for key, title, meaning in rows]


def _fact(name: str, text: str) -> Content:
    return Content.assemble((f"{name:<11}", "dim"), Content(text))


def _warning(what: str, advice: str | None) -> Content:
    line = Content.assemble(("! ", "bold $text-warning"), Content(plain(what)))
    return line + Content.assemble("\n  ", ("→ ", "$text-accent"), Content(plain(advice))) if advice else line
