"""What commands share, and what they show in the terminal."""
