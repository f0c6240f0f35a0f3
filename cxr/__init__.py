"""What both stages share, one noun a file."""
