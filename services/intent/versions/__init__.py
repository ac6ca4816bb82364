"""Versions of a model: fetched, verified, loaded, compared, in production or beside it."""
