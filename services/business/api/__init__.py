"""HTTP in and out: look-ups, actions, approvals and dead letters."""
