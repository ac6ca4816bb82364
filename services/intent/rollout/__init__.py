"""Versions of models: from an alias in the registry to what serves, and back."""
