"""The recipe: its declaration, its file, its edits, and the presets."""
