"""What a search was asked for."""
