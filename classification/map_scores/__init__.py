"""Null maps, the scores of a map, and their summary."""
