"""Utterances as examples to learn from: split, varied, batched."""
