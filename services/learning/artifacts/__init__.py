"""What a trained model's folder holds besides weights: the training record; folders written whole."""
