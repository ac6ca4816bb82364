"""Fine-tuning: encoder, heads, objective, export; from utterances to a model folder."""
