"""Rules learned from past decisions: a decision tree as a table that a person can read and change."""
