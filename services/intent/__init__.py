"""Intent: what a text means. One model pass gives intents, entities, sentiment and out-of-scope."""
