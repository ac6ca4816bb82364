"""What computes a model: libraries behind one seam, and the choice among them."""
