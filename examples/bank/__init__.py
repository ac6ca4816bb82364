"""A small retail bank's core system with an HTTP API, as a company has one; it knows nothing of Zhiyin."""
