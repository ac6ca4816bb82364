"""A run from a folder of data to a registered version, tracked in MLflow, for every kind of model."""
