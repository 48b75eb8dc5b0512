"""The best trials of a search trained again with fresh seeds, and compared on pictures that no search reads."""
