"""Entities in a text: those that patterns find, and those that the model tags."""
