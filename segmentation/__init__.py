"""Stage 1, segmentation of lungs and heart."""

from cxr.settings import headerfile

header = headerfile.Header(__file__)
