"""What fits this machine of the presets, kept on disk: the home screen needs a line of each, not their recipes.

To judge all of them anew takes a plan each, a third of a second, and 13 MB for as long as the app runs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ftui
from ftui.files import write_atomic
from ftui.fitting import Fitting
from ftui.paths import cache_dir, runs_dir

if TYPE_CHECKING:
    from ftui.hardware.document import Hardware

CARD_BYTES, HOST_BYTES = 1 << 28, 1 << 30
"""Free memory that differs by less than this is the same for a list; the wizard plans with what is free then."""
READ = ("presets/*.yaml", "planner/**/*.py", "methods/*.py", "models/*.json", "calibration.py", "fitting.py")
"""What a verdict follows from, in ftui's own folder: with other files the verdicts may be others, too."""


class PresetFit(NamedTuple):
    """A preset's name and title, and whether it fits."""

    name: str
    title: str
    fit: Fitting


def preset_fits(hardware: Hardware) -> list[PresetFit]:
    """Every preset in its usual order; as judged before where neither the machine nor ftui has changed."""
    file, key = cache_dir() / "presets.json", _key(hardware)
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return [PresetFit(name, title, Fitting(**fit)) for name, title, fit in kept["fits"]]
    except (OSError, ValueError, KeyError, TypeError):
        # Never judged, or written by another version.
        pass
    found = _judged(hardware)
    _keep(file, {"key": key, "fits": [(each.name, each.title, asdict(each.fit)) for each in found]})
    return found


def _keep(file: Path, content: object) -> None:
    try:
        write_atomic(file, json.dumps(content))
    except OSError:
        # A disk that takes no more: the next start judges anew.
        return


def _judged(hardware: Hardware) -> list[PresetFit]:
    from ftui.fitting import fitting
    from ftui.models.known import find
    from ftui.recipe.presets import presets

    # To judge the embedded model it would have to be made first, which takes 10 MB and a second: it fits anywhere.
    # The shapes of the others come from the catalogue: opening the app must not wait for the hub.
    anywhere = Fitting("fits", "fits any machine", "The embedded model has a million parameters.")
    found = []
    for preset in presets():
        entry = find(preset.recipe.model.base)
        demo = preset.recipe.model.base == "demo"
        fit = anywhere if demo else fitting(preset.recipe, hardware, entry.shape if entry else None)
        found.append(PresetFit(preset.name, preset.title, fit))
    return found


def _key(hardware: Hardware) -> str:
    """What the verdicts follow from: the machine but for its clock and small change, ftui's files, measured rates and
    the runs that teach others."""
    folder = Path(ftui.__file__).parent
    files = [path for pattern in READ for path in folder.glob(pattern)]
    files += [*(cache_dir() / "calibration").glob("*.json"), *runs_dir().glob("*/events.jsonl")]
    stamps = sorted((str(path), *_stamp(path)) for path in files)
    ram = hardware.ram.model_copy(update={"available_bytes": hardware.ram.available_bytes // HOST_BYTES})
    gpus = [
        (gpu.name, gpu.total_bytes, gpu.free_bytes // CARD_BYTES, gpu.visible, gpu.compute_capability, gpu.bf16)
        for gpu in hardware.gpus
    ]
    said = repr((ftui.__version__, stamps, ram, gpus, hardware.cpu, hardware.torch))
    return hashlib.sha256(said.encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size
