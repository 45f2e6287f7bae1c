"""The recipes that ftui ships; `ftui.recipe.presets` reads them."""
