"""The repairs that `ftui data check` is told to take over: as a recipe's `data.prepare`, printed or written."""

from __future__ import annotations

import difflib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.errors import BadInput

if TYPE_CHECKING:
    from ftui.data import Given
    from ftui.data.document import CheckUp

Entry = dict[str, object]


def chosen_repairs(found: CheckUp, names: Sequence[str]) -> list[Entry]:
    """The entries for `names`, each that of a finding, of a repair, or "all" for every warning; what mends comes first.

    Raises BadInput for other names, and for findings that no repair mends.
    """
    from ftui.data.repairs import REPAIRS, in_order, parse

    offered = {finding.name: finding for finding in found.findings}
    entries: list[Entry] = []
    for name in names:
        if name == "all":
            entries += [finding.repair for finding in found.findings if finding.repair and finding.severity != "note"]
        elif name in offered:
            finding = offered[name]
            if finding.repair is None:
                raise BadInput(f"No repair mends {name}.", finding.hint)
            entries.append(finding.repair)
        elif name in REPAIRS:
            of_findings = [f.repair for f in found.findings if f.repair and name in f.repair]
            entries.append(of_findings[0] if of_findings else {name: None})
        else:
            known = [*offered, *REPAIRS]
            near = difflib.get_close_matches(name, known, 1)
            nearest = f"; the nearest is {near[0]}." if near else "."
            raise BadInput(
                f"--repair {name} names neither a finding nor a repair{nearest}",
                f"Found were {', '.join(offered) or 'none'}; there are the repairs {', '.join(REPAIRS)}.",
            )
    unique = [entry for place, entry in enumerate(entries) if entry not in entries[:place]]
    parse(unique)
    return in_order(unique)


def print_repairs(repairs: list[Entry]) -> None:
    """The section of a recipe."""
    print("\ndata:\n" + "".join(f"  {line}\n" for line in _yaml({"prepare": repairs}).splitlines()), end="")


def write_repairs(path: str, repairs: list[Entry], sources: Sequence[Given]) -> None:
    """Add the repairs to the recipe at `path`, which keeps its comments; where there is none, make one of the sources.

    Raises BadInput where the file is no recipe.
    """
    from ftui.files import write_atomic
    from ftui.recipe.document import Data, DataSource, Recipe
    from ftui.recipe.text import parse, read, write

    file = Path(path).expanduser()
    if not file.exists():
        given = tuple(
            DataSource.model_validate({
                "path": one.path, "format": one.format, "columns": dict(one.columns), "split": one.split,
                "revision": one.revision,
            })
            for one in sources
        )  # fmt: skip
        recipe = Recipe(data=Data(sources=given, prepare=tuple(repairs)))
        write_atomic(file, write(recipe, {"data.sources", "data.prepare"}), mode=0o644)
        return
    old = read(file).data.prepare
    tree = _load(file.read_text(encoding="utf-8-sig"))
    tree.setdefault("data", {})["prepare"] = [*old, *(entry for entry in repairs if entry not in old)]
    text = _yaml(tree)
    parse(text, path)
    write_atomic(file, text, mode=file.stat().st_mode & 0o777)


def _load(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML().load(text)


def _yaml(tree: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()
