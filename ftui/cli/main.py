"""The `ftui` command: bare, it opens the app; with a noun, it loads that noun's module and nothing else."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

NOUNS: dict[str, str] = {
    "probe": "What this machine has: GPUs, memory, disk, and whether torch fits the driver.",
    "models": "Search the hub and the catalogue; show what a base model is, exactly.",
    "data": "Show and check a dataset before anything is trained on it.",
    "calibrate": "Measure in ten seconds what this machine's device does, for the plans' times.",
    "plan": "What fits this machine, what to pick, and why.",
    "recipe": "The one document a run is made from: schema, check, diff, show.",
    "methods": "Objectives and adapters: what each is for, needs and costs, and which goal leads to which.",
    "presets": "Recipes that ship with ftui, and whether they fit this machine.",
    "launch": "Start a run in the background from a preset or a recipe.",
    "runs": "List, show, stop, resume and delete runs.",
    "watch": "Draw a run live, or print it line by line.",
    "constitute": "Have a model revise its own answers by a constitution, for SFT rows and DPO pairs.",
    "try": "Ask the tuned and the base model the same thing.",
    "demo": "Open the wizard on the embedded tiny model and a bundled dataset.",
    "login": "Log in to the Hugging Face hub for gated models.",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # transformers and the hub print banners and send telemetry unless told otherwise before they are imported.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from ftui.cli.output import reporting, steady_streams

    # `--debug` is everyone's: it may stand anywhere in the line.
    debug = "--debug" in arguments or bool(os.environ.get("FTUI_DEBUG"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    steady_streams()
    with reporting(arguments, debug):
        code = _obey(arguments)
    sys.exit(code if isinstance(code, int) else 0)


def _obey(arguments: Sequence[str]) -> object:
    """Do what the line says; typer is imported only where there is a command."""
    if not arguments:
        from ftui.cli.app import open_app

        return open_app()
    if arguments == ["--version"]:
        from ftui import __version__

        print(f"ftui {__version__}")
        return 0
    code: object = build(arguments)(args=arguments, prog_name="ftui", standalone_mode=False)
    if code == 130:
        # typer's own way to say that it was interrupted.
        raise KeyboardInterrupt
    return code


def build(arguments: Sequence[str]):  # type: ignore[no-untyped-def]  # typer's click command, not worth its import
    """The click command for these arguments; only the noun that is named is imported, all of them for `--help`."""
    import typer

    app = typer.Typer(
        name="ftui", no_args_is_help=False, pretty_exceptions_enable=False, add_completion=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Fine-tune language models from the terminal. Without a command, the wizard opens.",
    )
    named = next((word for word in arguments if not word.startswith("-")), None)

    @app.callback(invoke_without_command=True)
    def top(
        version: bool = typer.Option(False, "--version", help="Print the version and leave."),
        debug: bool = typer.Option(False, "--debug", help="Show tracebacks."),
    ) -> None:
        """Both are dealt with before typer is imported; they stand here for `--help` to show."""

    for noun, summary in NOUNS.items():
        if named in NOUNS and noun != named:
            continue
        module = importlib.import_module(f"ftui.cli.{'try_' if noun == 'try' else noun}")
        if isinstance(getattr(module, "app", None), typer.Typer):
            app.add_typer(module.app, name=noun, help=summary)
        else:
            app.command(name=noun, help=summary)(module.command)
    return typer.main.get_command(app)


if __name__ == "__main__":
    main()
