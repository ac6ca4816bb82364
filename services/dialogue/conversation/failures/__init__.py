"""Turns that fail: their attempts, and the good end of those that never succeed."""
