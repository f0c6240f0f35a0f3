"""Changes that other hospitals and copies make to a radiograph: for measuring shifts and for training on them."""
