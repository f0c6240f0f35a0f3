"""The vote on one image, predictions.csv, and validation."""
