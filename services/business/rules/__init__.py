"""Company rules: decision tables and graphs, read, checked and asked by name."""
