"""The durable mailbox: messages, turns, outbox and results, the transcript and its readers."""
