"""Changes that other hospitals and other copies make to a radiograph: for measuring shifts, and for training on them."""
