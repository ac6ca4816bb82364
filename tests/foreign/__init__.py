"""A company's system for tests: a process of its own with its own table of effects, and a way to call it."""
