"""Where radiographs come from: downloaded sets, and a synthetic cohort."""
