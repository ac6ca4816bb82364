"""Actions on their way to business and back: the outbox, news of results, dead letters."""
