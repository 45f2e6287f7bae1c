"""`ftui login`: give huggingface_hub a token, for gated models and private datasets."""

from __future__ import annotations

import sys

import typer

from ftui.cli.output import print_json
from ftui.units import plain


def command(
    show: bool = typer.Option(False, "--who", help="Only say who is logged in."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Ask for a token without showing it (or take it from a pipe), and keep it in huggingface_hub's own store."""
    from ftui.login import TOKEN_PAGE, log_in, who

    if show:
        name = who()
    else:
        if sys.stdin.isatty():
            print(f"Make a token with the right to read at {TOKEN_PAGE}", file=sys.stderr)
            token = typer.prompt("Token (not shown)", hide_input=True, default="", show_default=False, err=True)
        else:
            token = sys.stdin.readline()
        name = log_in(token)
    if as_json:
        print_json({"name": name})
    else:
        print(f"Logged in as {plain(name)}." if name else "Not logged in: `ftui login` asks for a token.")
