"""Calls of companies' systems, as an assistant's `connectors/` say."""
