"""Metrics, their intervals, and tests between classes."""
