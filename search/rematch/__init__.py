"""The best trials of a search, trained again with fresh seeds, compared on pictures that no search reads."""
