"""The cost of customers who only listen: idle streams in one dialogue process."""
