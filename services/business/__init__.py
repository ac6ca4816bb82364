"""What gets done: look-ups, actions and their ledger, rules, approvals, the worker."""
