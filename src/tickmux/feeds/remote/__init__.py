"""Feeds in a process of their own: what crosses the border, and both of its ends."""
