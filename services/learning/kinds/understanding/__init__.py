"""The kind of models that say what texts mean, and their 8-bit form."""
