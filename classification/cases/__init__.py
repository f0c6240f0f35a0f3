"""Which pairs there are, of which class, masked and in memory."""
