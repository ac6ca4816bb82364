"""Actions once accepted: ledger, outbox, approvals, dead letters."""
