"""The search itself, without Ray: what to start, what goes on, what it may still use."""
