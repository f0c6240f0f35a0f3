"""What audit.py reports: whether a run sees the lungs or the hospital."""
