"""For tests of programs that use the library, and of users' own adapters."""
