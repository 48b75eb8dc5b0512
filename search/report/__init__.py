"""What a search found, for people: records to facts, facts to figures, both to one page."""
