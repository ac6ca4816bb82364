"""The `zhiyin` command."""
