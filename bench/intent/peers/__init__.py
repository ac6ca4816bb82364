"""Other servers of the same model; they run in virtual environments of their own."""
