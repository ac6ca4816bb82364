"""The conversation: messages in, decisions, replies out; the pages and the desk."""
