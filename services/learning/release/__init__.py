"""What may go to production: the gate."""
