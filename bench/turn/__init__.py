"""The cost of a chat turn: every service, on both databases, and Rasa beside them."""
