"""The two decisions of a search: what to try next, and what to stop. Neither knows Ray."""
