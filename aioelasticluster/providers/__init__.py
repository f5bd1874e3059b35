"""Where instances come from: one contract, one adapter a file."""
