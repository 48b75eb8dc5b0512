"""How many recipes are tried: the search, its records and report, and the commands that people type."""
