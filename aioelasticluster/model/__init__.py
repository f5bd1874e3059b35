"""Records, states, events and names: pure values, no I/O and no loop."""
