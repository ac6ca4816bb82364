"""The demo shop: its tables, look-ups and actions."""
