"""What may go to production and in which form: gate, quantisation."""
