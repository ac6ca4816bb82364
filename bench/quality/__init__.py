"""How accurate the trainer is on public data sets, beside the best that is published."""
