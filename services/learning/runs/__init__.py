"""A run from an assistant's files to a registered version, tracked in MLflow."""
