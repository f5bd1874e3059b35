"""A strict stand-in for Compute Engine's REST API, as a program on loopback."""
