"""What services are made of and through which they meet."""
