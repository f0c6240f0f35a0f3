"""From a file of any format to a radiograph."""
