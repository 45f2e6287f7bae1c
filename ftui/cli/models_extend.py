"""`ftui models extend`: a base model with tokens that it lacks, such as a chat template's, as a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ftui.errors import BadInput, Refused

Ref = Annotated[str, typer.Argument(metavar="MODEL", help="A hub id or a local folder.")]
Out = Annotated[str, typer.Option("--out", "-o", metavar="FOLDER", help="Where the extended model is written.")]
Tokens = Annotated[
    list[str] | None, typer.Option("--token", metavar="TEXT", help="A token to add; may be given several times."),
]
Template = Annotated[
    str | None,
    typer.Option("--template", help="Add the tokens of a template such as chatml, and make it the model's own."),
]
End = Annotated[
    str | None,
    typer.Option("--end", metavar="TEXT", help="The token that ends an answer (default: the template's)."),
]
Revision = Annotated[str | None, typer.Option("--revision", help="A branch, tag or commit on the hub.")]
Wait = Annotated[bool, typer.Option("--wait", help="Show the progress and return when it has ended.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def extend(
    ref: Ref, out: Out, token: Tokens = None, template: Template = None, end: End = None, revision: Revision = None,
    wait: Wait = False, json: Json = False,
) -> None:
    """Give a base model tokens that it lacks, each with a row in its embedding, as a model folder of its own."""
    from ftui.cli.asking import absolute, line_of, started
    from ftui.models import describe
    from ftui.runs.control import start_job

    markers = _markers(template)
    tokens = list(dict.fromkeys((*markers, *(token or ()), *([end] if end else ()))))
    if not tokens or not all(text.strip() for text in tokens):
        raise BadInput("No token to add is named.", "Name some with --token, or a template: --template chatml.")
    target = Path(out).expanduser().absolute()
    if target.exists():
        raise Refused(f"{target} is there already.", "Name another folder, or move it away.")
    shape = describe(ref, revision)
    if shape.ref == "demo":
        raise BadInput("The demo has all that its data needs.", "Name a hub id or a local folder.")
    ref = absolute(ref)
    args = {"ref": ref, "revision": revision, "tokens": tokens, "template": template,
            "end": end or (markers[-1] if markers else None), "out": str(target)}  # fmt: skip
    command = line_of("models", "extend", ref, options={
        "out": str(target), "token": token or None, "template": template, "end": end, "revision": revision,
    })  # fmt: skip
    run = start_job("extend", args, f"extend {shape.name}", command=command)
    started(run, str(target), wait=wait, as_json=json)


def _markers(template: str | None) -> tuple[str, ...]:
    """The tokens of a named template, of which the last ends an answer."""
    from ftui.data.named_templates import NAMED

    if template is None:
        return ()
    known = [name for name, one in NAMED.items() if one.markers]
    if template not in known:
        raise BadInput(f"--template is {template!r}.", f"Those with tokens of their own: {', '.join(known)}.")
    return NAMED[template].markers
