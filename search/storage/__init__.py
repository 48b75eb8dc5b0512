"""Where a search is kept: its folder, and the copy of it in a storage."""
