"""How an understanding network is fine-tuned: encoder, heads, objective, export."""
