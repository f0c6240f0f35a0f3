"""The vote on one image, its calibration, predictions.csv, and validation."""
