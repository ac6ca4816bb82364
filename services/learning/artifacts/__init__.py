"""What a trained model's folder holds besides weights: the training record, the metrics; folders written whole."""
