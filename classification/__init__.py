"""Stage 2, classification: header.py and the scripts a user runs; below, what they are made of."""
