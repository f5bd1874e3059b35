"""A strict stand-in for EC2's query API, as a program of its own on loopback."""
