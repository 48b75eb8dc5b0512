"""What `make cluster-test` runs, on hosts of its own; each file goes on where the one before it stopped."""
