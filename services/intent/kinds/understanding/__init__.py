"""Models that say what texts mean."""
