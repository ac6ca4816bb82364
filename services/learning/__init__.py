"""How the assistant gets better: from utterances to a model that was measured before it serves."""
