"""The real OpenStack services as a cloud on this machine."""
