"""Nubra's feed."""
