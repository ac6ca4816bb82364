"""Who is talking: accounts, sessions, tokens, keys."""
