"""Actions once accepted: ledger, results, relay to the queue, approvals."""
