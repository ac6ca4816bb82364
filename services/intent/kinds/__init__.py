"""Kinds of model: what a request to one is, how it is computed, and what its answer looks like; a folder for each."""
