"""Actions once accepted: ledger, outbox, publisher of results, approvals."""
