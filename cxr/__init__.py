"""What both stages share, by subject."""
