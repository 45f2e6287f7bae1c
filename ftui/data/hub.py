"""Datasets on the Hugging Face hub, resolved to their files without the `datasets` library."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.units import plain

PREFIX = "hf://datasets/"
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?(:[\w.-]{1,95})?")
_SUFFIXES = (
    ".parquet", ".jsonl", ".json", ".csv", ".tsv", ".txt", ".jsonl.gz", ".json.gz", ".csv.gz", ".jsonl.zst",
    ".json.zst", ".ndjson", ".arrow",
)  # fmt: skip
_CONVERTED = "refs/convert/parquet"
"""The branch on which the hub keeps a Parquet copy of datasets in other shapes."""


def is_hub_dataset(ref: str) -> bool:
    """Whether `ref` names a hub dataset ("owner/name", "owner/name:config", "hf://datasets/...") rather than a file."""
    if ref.startswith(PREFIX):
        return True
    try:
        # A link to nothing is a file's name all the same.
        exists = os.path.lexists(Path(ref).expanduser())
    except (OSError, ValueError, RuntimeError):
        return False
    return not exists and "/" in ref and ref.lower().endswith(_SUFFIXES) is False and bool(_ID.fullmatch(ref))


def fetch_dataset(
    ref: str, *, split: str | None = None, config: str | None = None, revision: str | None = None,
    rows: int | None = None,
) -> list[Path]:
    """The local paths of a split's files, downloaded into the hub cache where they aren't there yet; with `rows` those
    of files that hold the first so many rows alone, fetched without the rest.

    `split` defaults to "train", `config` to the one that `ref` names after a colon. Raises BadInput that says what to
    do when the dataset is missing, gated, has no such split or no plain files, or when the hub can't be reached.
    """
    import httpx2
    from huggingface_hub import errors

    repository, named, within = _parsed(ref)
    config = config or named
    split = split or "train"
    name = plain(repository)
    try:
        return _fetch(repository, config, within, split, revision, rows)
    except errors.GatedRepoError:
        raise BadInput(
            f"The dataset {name} is gated.",
            f"Accept its terms at {_page(repository)}, then log in with: ftui login",
        ) from None
    except errors.RevisionNotFoundError:
        raise BadInput(
            f"The dataset {name} has no revision {plain(str(revision))!r}.", "Leave it out for the newest."
        ) from None
    except errors.RepositoryNotFoundError:
        raise BadInput(
            f"There is no dataset {name} on the hub, nor a file of that name.",
            "Check the spelling; a private one needs: ftui login",
        ) from None
    except errors.EntryNotFoundError:
        raise BadInput(f"The dataset {name} has no file {plain(within or '')!r}.", f"See {_page(repository)}") from None
    except errors.HFValidationError as error:
        raise BadInput(f"{name} is no valid name of a hub dataset: {plain(str(error))}") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "?")
        if status == 401:
            raise BadInput(f"The hub asks for a login to read {name}.", "Log in with: ftui login") from None
        raise BadInput(f"The hub answered {status} for the dataset {name}.", "Try again in a while.") from None
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError):
        raise _unreachable(name) from None
    except OSError as error:
        if error.errno == 28:
            raise BadInput(
                f"No space left on the disk of the hub cache while fetching {name}.", "Free some, or set HF_HOME."
            ) from None
        raise _unreachable(name) from None
    except httpx2.TransportError:
        raise _unreachable(name) from None


def _fetch(
    repository: str, config: str | None, within: str | None, split: str, revision: str | None, rows: int | None
) -> list[Path]:
    from huggingface_hub import HfApi, constants, hf_hub_download

    from ftui.data import hub_head

    offline = constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    asked = (repository, config, within, split, revision, rows)

    def download(files: list[str], at: str | None) -> list[Path]:
        if rows is None:
            return [Path(hf_hub_download(repository, file, repo_type="dataset", revision=at)) for file in files]
        commit = at or "main"
        found = hub_head.head_of(repository, files, commit, rows)
        hub_head.remember(asked, repository, files, commit, rows)
        return found

    if offline and rows is not None:
        if kept := hub_head.remembered(asked):
            return kept
        raise _not_here(repository)
    if within and rows is None:
        return download([within], revision)
    if offline:
        return _cached(repository, config, split, revision)
    info = HfApi().dataset_info(repository, revision=revision)
    names = [sibling.rfilename for sibling in info.siblings or []]
    if within:
        return download([within], info.sha or revision)
    card = info.card_data.to_dict() if info.card_data else {}
    if files := choose_files(names, split, config, card):
        return download(files, info.sha or revision)
    if revision is None:
        from huggingface_hub import errors

        try:
            converted = HfApi().dataset_info(repository, revision=_CONVERTED)
        except (errors.RevisionNotFoundError, errors.RepositoryNotFoundError):
            converted = None
        if converted:
            converted_names = [sibling.rfilename for sibling in converted.siblings or []]
            if files := choose_files(converted_names, split, config, {}):
                return download(files, converted.sha)
            names += converted_names
    raise _no_such_split(repository, config, split, names)


def choose_files(names: list[str], split: str, config: str | None, card: dict[str, Any]) -> list[str]:
    """The files of `split` among a repository's: as its card declares, else by the hub's naming habits."""
    data = sorted(name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith("."))
    if (declared := _declared(card, split, config)) is not None:
        return [name for name in data if any(fnmatch.fnmatch(name, pattern) for pattern in declared)]
    if config:
        data = [name for name in data if config in name.split("/")[:-1] or Path(name).name.startswith(config)]
    marked = [name for name in data if re.search(rf"(^|[/._-]){re.escape(split)}([/._-]|$)", name)]
    if not config and len(configs := {name.split("/")[0] for name in marked if "/" in name}) > 1:
        preferred = next((name for name in ("default", "main", "data") if name in configs), min(configs))
        marked = [name for name in marked if name.startswith(f"{preferred}/")]
    if not marked and split == "train":
        others = re.compile(r"(^|[/._-])(test|valid|validation|dev|eval)([/._-]|$)")
        marked = [name for name in data if not others.search(name)]
    # The same rows in two forms must not be read twice.
    for suffix in _SUFFIXES:
        if same := [name for name in marked if name.lower().endswith(suffix)]:
            return same
    return []


def _declared(card: dict[str, Any], split: str, config: str | None) -> list[str] | None:
    """The file patterns of a split in the card's `configs`, None where it declares none."""
    configs = card.get("configs")
    if not isinstance(configs, list) or not configs:
        return None
    named = [entry for entry in configs if isinstance(entry, dict) and entry.get("data_files")]
    wanted = [entry for entry in named if entry.get("config_name") == config] if config else []
    if not config:
        defaults = [entry for entry in named if entry.get("default") or entry.get("config_name") == "default"]
        wanted = defaults or named[:1]
    if not wanted:
        return None if not named else []
    files = wanted[0]["data_files"]
    if isinstance(files, str):
        return [files] if split == "train" else []
    if isinstance(files, dict):
        files = [{"split": key, "path": value} for key, value in files.items()]
    patterns: list[str] = []
    for entry in files:
        if isinstance(entry, str) and split == "train":
            patterns.append(entry)
        elif isinstance(entry, dict) and entry.get("split") == split:
            path = entry.get("path")
            patterns += [path] if isinstance(path, str) else list(path or [])
    return patterns


def _cached(repository: str, config: str | None, split: str, revision: str | None) -> list[Path]:
    """The split's files among what an earlier download left in the cache."""
    from ftui.paths import hub_cache_dir

    folder = hub_cache_dir() / f"datasets--{repository.replace('/', '--')}"
    reference = folder / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    snapshots = [folder / "snapshots" / commit] if commit else sorted((folder / "snapshots").glob("*"))
    for snapshot in snapshots:
        names = [str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()]
        if files := choose_files(names, split, config, {}):
            return [snapshot / name for name in files]
    raise _not_here(repository)


def _parsed(ref: str) -> tuple[str, str | None, str | None]:
    """(repository, config, file within it)."""
    if ref.startswith(PREFIX):
        parts = ref.removeprefix(PREFIX).split("/")
        return "/".join(parts[:2]), None, "/".join(parts[2:]) or None
    repository, _, config = ref.partition(":")
    return repository, config or None, None


def _no_such_split(repository: str, config: str | None, split: str, names: list[str]) -> BadInput:
    data = sorted({name for name in names if name.lower().endswith(_SUFFIXES)})
    what = f"The dataset {plain(repository)} has no files for split {plain(split)!r}" + (
        f" of {plain(config)!r}." if config else "."
    )
    if not data:
        return BadInput(
            f"The dataset {plain(repository)} has no JSON, CSV, Parquet or text files.",
            "Load it with `datasets` and save it with to_json('data.jsonl').",
        )
    return BadInput(what, f"It has: {', '.join(plain(name) for name in data[:6])}; or see {_page(repository)}")


def _page(repository: str) -> str:
    return f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/datasets/{plain(repository)}"


def _not_here(repository: str) -> BadInput:
    return BadInput(
        f"The dataset {plain(repository)} isn't on this disk, and HF_HUB_OFFLINE is set.",
        "Unset it to download the dataset, or name a local file.",
    )


def _unreachable(name: str) -> BadInput:
    return BadInput(
        f"The hub can't be reached, and the dataset {name} isn't on this disk.",
        "Check the connection, or name a local file.",
    )
