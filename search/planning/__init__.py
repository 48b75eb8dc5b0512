"""What is checked and made ready before a search starts."""
