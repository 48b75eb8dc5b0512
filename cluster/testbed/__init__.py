"""Hosts made of namespaces on this machine, for `make cluster-test`, and the cluster on them."""
