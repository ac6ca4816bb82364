"""Foreign systems that the demo assistants talk to; they know nothing of Zhiyin."""
