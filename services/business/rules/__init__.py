"""Company rules as decision tables."""
