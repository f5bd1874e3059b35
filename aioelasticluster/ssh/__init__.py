"""How nodes are reached: keys, host keys, probes and connections."""
