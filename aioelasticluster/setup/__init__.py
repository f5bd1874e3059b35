"""How instances become a cluster: one contract, one adapter a file."""
