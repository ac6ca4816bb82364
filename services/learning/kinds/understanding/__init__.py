"""The kind of models that say what texts mean: its side of a run, and the 8-bit form of its models."""
