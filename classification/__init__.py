"""Stage 2, classification: header.py and the scripts a user runs; below, what they are made of."""

from cxr.settings import headerfile

header = headerfile.Header(__file__)
