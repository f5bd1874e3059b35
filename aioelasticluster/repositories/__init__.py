"""Where clusters are recorded: one contract, one adapter a file."""
