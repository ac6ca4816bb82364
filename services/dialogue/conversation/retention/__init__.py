"""Which conversations are over, and what goes with them."""
