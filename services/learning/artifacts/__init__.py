"""What a trained model's folder holds besides weights: manifest, training record; folders written whole."""
