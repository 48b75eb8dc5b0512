"""Several searches side by side: which of them compare, what each came to, and whose winner is better."""
