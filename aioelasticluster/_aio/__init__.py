"""Small async tools: one shield, one poll loop, one process runner, one clock."""
