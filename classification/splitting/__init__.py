"""What split.py is made of, and the cases of a split that a training uses."""
