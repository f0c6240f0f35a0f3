"""What report.py puts into report.html."""
