"""The monitor's keys in one table: its bindings, and so its footer, palette and help, come from here."""

from __future__ import annotations

from textual.binding import Binding, BindingType

TABS = ("charts", "samples", "events", "log", "plan")
RUN, CHARTS, TAB = Binding.Group("This run"), Binding.Group("Charts"), Binding.Group("Tabs")
SHOWN = {
    "stop", "fix", "resume", "stage", "ask", "report", "command('checkpoint')", "log_scale", "turn(1)",
    "sample(-1)", "sample(1)",
}
"""Actions in the footer, as far as they make sense at the moment; the rest stands in the palette and the help."""

TABLE = (
    (RUN, "t", "stop", "Stop", "Stop at the next step; everything is saved"),
    (RUN, "f", "fix", "Fix and rerun", "Start it again with what the failure's remedy, or the diagnosis, would change"),
    (RUN, "r", "resume", "Resume", "Go on from the last checkpoint"),
    (RUN, "a", "ask", "Try it", "Ask the tuned and the base model the same thing"),
    (RUN, "v", "stage", "View stage", "The stage at work, or the last one, with its own curves"),
    (RUN, "o", "report", "Report", "What was done and how to use the result"),
    (RUN, "c", "command('checkpoint')", "Checkpoint", "Save a checkpoint now"),
    (RUN, "e", "command('evaluate')", "Evaluate", "Evaluate now, with samples"),
    (RUN, "T", "stop_now", "Stop now", "Stop at once; what came after the last checkpoint is lost"),
    (RUN, "y", "copy", "Copy a command", "Watch, repeat, try or fetch it elsewhere"),
    (CHARTS, "l", "log_scale", "Log scale", "A logarithmic value axis, and back"),
    (CHARTS, "m", "turn(1)", "Next chart", "Make the next metric the large chart"),
    (CHARTS, "M", "turn(-1)", "Previous chart", "Make the previous metric the large chart"),
    (CHARTS, "s", "smooth(1)", "Smoother", "Smooth the curves more"),
    (CHARTS, "S", "smooth(-1)", "Rougher", "Smooth the curves less"),
    (CHARTS, "plus,equals_sign", "zoom(0.5)", "Zoom in", "Show half as many steps"),
    (CHARTS, "minus", "zoom(2)", "Zoom out", "Show twice as many steps"),
    (CHARTS, "left", "pan(-0.25)", "Earlier steps", "Move the charts towards earlier steps"),
    (CHARTS, "right", "pan(0.25)", "Later steps", "Move the charts towards later steps"),
    (CHARTS, "0", "reset", "Whole run", "Show all steps, linear, smoothing chosen by length"),
    (CHARTS, "x", "axis", "Step axis", "Say steps, time or epochs under the charts"),
    (CHARTS, "w", "write", "Write chart", "The large chart as SVG and PNG, into the folder that ftui was started in"),
    (CHARTS, "b", "compare", "Beside another", "Lay its curves over those of the run that it came from, or of another"),
    (TAB, "1", "tab('charts')", "Charts", "The curves"),
    (TAB, "2", "tab('samples')", "Samples", "What the model answers, next to what it answered before"),
    (TAB, "3", "tab('events')", "Events", "Evaluations, checkpoints, warnings, what was done about them"),
    (TAB, "4", "tab('log')", "Log", "What the worker wrote to its terminal"),
    (TAB, "5", "tab('plan')", "Plan", "What was expected and what is measured; the recipe"),
    (TAB, "n", "prompt(1)", "Next prompt", "The samples of the next prompt"),
    (TAB, "N", "prompt(-1)", "Previous prompt", "The samples of the prompt before"),
    (TAB, "left_square_bracket", "sample(-1)", "Earlier", "The samples of the evaluation before"),
    (TAB, "right_square_bracket", "sample(1)", "Later", "The samples of the evaluation after"),
)
SIGNS = {"left_square_bracket": "[", "right_square_bracket": "]"}


def bindings() -> list[BindingType]:
    """The table as Textual wants it; ids are `monitor.` and the action, for keymap files."""
    return [
        Binding(
            keys, action, description, show=action in SHOWN, tooltip=tooltip, group=group,
            key_display=SIGNS.get(keys), id=f"monitor.{action}",
        )
        for group, keys, action, description, tooltip in TABLE
    ]
