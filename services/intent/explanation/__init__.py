"""Which tokens an intent comes from."""
