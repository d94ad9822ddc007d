"""Zerodha (Kite Connect): a length-prefixed big-endian binary feed."""
