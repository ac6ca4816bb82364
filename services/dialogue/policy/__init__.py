"""The pure core: what a turn decides, from assistant, state and event alone."""
