"""Stage 1, segmentation of lungs and heart."""
