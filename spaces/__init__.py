"""What may be tried: recipes, search spaces and their files. Imports neither torch nor Ray."""
