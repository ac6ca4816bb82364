"""A second kind of model, small enough for tests: rows of two numbers, and the label of the nearest centroid."""
