"""What crossval.py and compare.py are made of."""
