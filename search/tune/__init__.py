"""Ray: the only rooms of the search that know it. Adapters between Ray Tune and what it drives."""
