"""Several files as one source: a folder of shards, what `save_to_disk` leaves, or a pattern such as data/*.jsonl.

The files are read in the order of their names.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from ftui.data.encoding import name_of
from ftui.data.hub import choose_files
from ftui.data.reading import kind_of_name
from ftui.errors import BadInput
from ftui.units import plain

_MAGIC = re.compile(r"[*?\[]")
_NOT_DATA = re.compile(r"(readme|licen[cs]e|notice|changelog|dataset_infos?|state)\b.*", re.IGNORECASE)
"""Files that stand beside the data in many folders."""


def is_pattern(path: str) -> bool:
    """Whether `path` stands for several files rather than being one's name."""
    return bool(_MAGIC.search(path)) and not os.path.lexists(path)


def matching(pattern: str) -> list[Path]:
    """The files that a pattern means; `**` stands for any folders, and links to folders aren't followed by it.

    Raises BadInput where there are none.
    """
    parts = Path(pattern).parts
    first = next(index for index, part in enumerate(parts) if _MAGIC.search(part))
    try:
        found = sorted(path for path in Path(*parts[:first]).glob("/".join(parts[first:])) if not path.is_dir())
    except (OSError, ValueError) as error:
        raise BadInput(f"{plain(pattern)} is no pattern of files: {error}.", "Write it as in: 'data/*.jsonl'") from None
    if not found:
        raise BadInput(f"No file matches {plain(pattern)}.", "Check the folder and the names in it.")
    return found


def files_in(folder: Path, split: str | None) -> list[Path]:
    """The data files of a folder: of `split` (else train) where their names tell splits apart.

    Raises BadInput where there are none, or files of several kinds, which may hold the same rows twice.
    """
    name = name_of(folder)
    try:
        if (folder / "dataset_dict.json").is_file():
            return _saved(_split_of(folder, split))
        if (folder / "state.json").is_file():
            return _saved(folder)
        found = sorted(path for path in folder.iterdir() if _holds_data(path))
    except PermissionError:
        raise BadInput(f"No permission to read the folder {name}.", f"Try: chmod u+rx {name}") from None
    if not found:
        raise BadInput(f"There is no data file in the folder {name}.", _folders_in(folder))
    kinds = sorted({_ending(path) for path in found})
    if len(kinds) > 1:
        raise BadInput(
            f"The folder {name} holds files of several kinds ({', '.join(map(plain, kinds))}).",
            f"Name those to read with a pattern: '{name}/*{plain(kinds[0])}'",
        )
    # The hub's habits tell splits by names, of whatever kind the files are.
    by_name = {path.name.removesuffix(kinds[0]) + ".jsonl": path for path in found}
    chosen = [by_name[file] for file in choose_files(list(by_name), split or "train", None, {})]
    if split and not chosen:
        raise BadInput(f"No file in {name} belongs to the split {plain(split)!r}.", f"It holds: {_listed(found)}.")
    # None that could be train's: all there is.
    return chosen or found


def _holds_data(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))
    return bool(kind_of_name(path)) and not hidden and not _NOT_DATA.fullmatch(path.name) and not path.is_dir()


def _split_of(folder: Path, split: str | None) -> Path:
    """The part of a saved DatasetDict that is asked for; its only one where there is no train."""
    splits = _read(folder / "dataset_dict.json").get("splits")
    names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
    wanted = split or ("train" if "train" in names or len(names) != 1 else names[0])
    if wanted not in names or Path(wanted).name != wanted:
        listed = ", ".join(map(plain, names)) or "none"
        raise BadInput(f"{name_of(folder)} has no split {plain(wanted)!r}.", f"It has: {listed}; say it with --split.")
    return folder / wanted


def _saved(folder: Path) -> list[Path]:
    """The shards that a saved dataset names, in its order."""
    entries = _read(folder / "state.json").get("_data_files")
    names = [entry.get("filename") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    # A name with a folder in it would lead out of the dataset.
    files = [folder / name for name in names if isinstance(name, str) and Path(name).name == name]
    if not files:
        raise BadInput(f"{name_of(folder / 'state.json')} names no data files.", "Save the dataset again.")
    if _read(folder / "state.json").get("_indices_files"):
        raise BadInput(
            f"{name_of(folder)} was saved by an old `datasets` with a selection of rows beside its data.",
            "Load it there and save it again: dataset.flatten_indices().save_to_disk(...)",
        )
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadInput(f"{name_of(path)}, which says what the saved dataset holds, can't be read.", "Save it again.")
    return value


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix in (".gz", ".zst") else path.suffix


def _folders_in(folder: Path) -> str:
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if inside:
        return f"Name one of the folders in it: {_listed(inside)}."
    return "ftui reads JSON, JSON Lines, CSV, TSV, Parquet, Arrow and plain text."


def _listed(paths: list[Path]) -> str:
    return ", ".join(plain(path.name) for path in paths[:6]) + (", ..." if len(paths) > 6 else "")
