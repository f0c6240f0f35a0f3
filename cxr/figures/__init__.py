"""Curves, diagrams, box plots and outlines as pictures."""
