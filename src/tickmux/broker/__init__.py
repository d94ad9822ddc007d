"""The brokers: one folder each, found by name. A broker never imports another; families live in `_<family>`."""
