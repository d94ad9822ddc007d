"""Groww's feed."""
