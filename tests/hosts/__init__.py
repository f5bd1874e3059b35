"""Real container engines, and clusters of real hosts in them."""
