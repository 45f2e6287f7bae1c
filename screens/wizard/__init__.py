"""The wizard: hardware, model, data, goal, plan, settings, review."""
