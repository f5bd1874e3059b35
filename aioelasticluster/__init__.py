"""Compute clusters as coroutines."""
