"""Recipes: systems described in YAML, that train, export to a bundle, evaluate and run (extra: train)."""
