"""The synthetic cohort: bodies, diseases, exposures and file formats."""
